// Goal: what is barely HTTP, or none, is answered on the client port as Go's server answers it. Method: the same bytes to
// a single etcd with --enable-v2 and a single member of ours; the status line, headers and body that come back are
// compared, dates and counters aside.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Cluster } from './support/cluster.js'
import { exchangeForAnswer } from './support/raw-http.js'
import { describeWith } from './support/requirements.js'

const FORM = 'Content-Type: application/x-www-form-urlencoded'
const KIB = 1024
const lines = (...text: readonly string[]): string => `${text.join('\r\n')}\r\n`
/** A request that asks for the end of the connection. */
const request = (first: string, ...headers: readonly string[]): string =>
  lines(first, 'Host: x', ...headers, 'Connection: close', '')
const withBody = (first: string, body: string, ...headers: readonly string[]): string =>
  request(first, FORM, `Content-Length: ${body.length}`, ...headers) + body
const bytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1')

const REQUESTS: Readonly<Record<string, string>> = {
  'no host': lines('GET /v2/keys/ HTTP/1.1', 'Connection: close', ''),
  'no host on a page': lines('GET /version HTTP/1.1', 'Connection: close', ''),
  'two hosts': request('GET /v2/keys/ HTTP/1.1', 'Host: y'),
  'a host with a blank': lines('GET /v2/keys/ HTTP/1.1', 'Host: a b', 'Connection: close', ''),
  'an empty host': lines('GET /v2/keys/ HTTP/1.1', 'Host:', 'Connection: close', ''),
  'a negative length': request('PUT /v2/keys/n HTTP/1.1', FORM, 'Content-Length: -1'),
  'a length that is none': request('PUT /v2/keys/n HTTP/1.1', FORM, 'Content-Length: x'),
  'a header without a colon': request('GET /v2/keys/n HTTP/1.1', 'nonsense'),
  'another transfer encoding': request('GET /v2/keys/n HTTP/1.1', 'Transfer-Encoding: foo'),
  'another expectation': withBody('PUT /v2/keys/n HTTP/1.1', 'value=1', 'Expect: other'),
  'a body that waits to be asked for': withBody(
    'PUT /v2/keys/n HTTP/1.1',
    'value=1',
    'Expect: 100-continue',
  ),
  'a body in pieces': `${request('PUT /v2/keys/n HTTP/1.1', FORM, 'Transfer-Encoding: chunked')}7\r\nvalue=2\r\n0\r\n\r\n`,
  'a body of no length': request('PUT /v2/keys/n HTTP/1.1', FORM),
  'no head at all of a change of members': request(
    'POST /v2/members HTTP/1.1',
    'Content-Type: application/json',
  ),
  'a head of 20 KiB': request('GET /v2/keys/none HTTP/1.1', `X-A: ${'y'.repeat(20 * KIB)}`),
  'a head of 200 KiB': request('GET /v2/keys/none HTTP/1.1', `X-A: ${'y'.repeat(200 * KIB)}`),
  'a head of 2 MiB': request('GET /v2/keys/none HTTP/1.1', `X-A: ${'y'.repeat(2048 * KIB)}`),
  'bytes in a path to read': request(bytes('GET /v2/keys/ä%20ö HTTP/1.1')),
  'bytes in a path to write': withBody(bytes('PUT /v2/keys/ä?x=ö HTTP/1.1'), bytes('value=ü')),
  'bytes in a path to move on from': request(bytes('GET /v2/keys//ä HTTP/1.1')),
  'bytes in a path of something else': request(bytes('DELETE /v2/members/ä HTTP/1.1')),
  'bytes in a path that is waited for': request(
    bytes('GET /v2/keys/ä?wait=true&waitIndex=1 HTTP/1.1'),
  ),
  'a target with a host': request('GET http://y/v2/keys/none HTTP/1.1'),
  'a fragment': request('GET /v2/keys/none#x HTTP/1.1'),
  'a browser asking for leave': request(
    'OPTIONS /v2/members HTTP/1.1',
    'Origin: http://q',
    'Access-Control-Request-Method: PUT',
  ),
  'a page that is not there': request('GET /nothing HTTP/1.1'),
  'three requests at once':
    lines('GET /v2/keys/none HTTP/1.1', 'Host: x', '') +
    lines('GET /v2/auth/enable HTTP/1.1', 'Host: x', '') +
    request('GET /v2/keys/none2 HTTP/1.1'),
}

/** Each answer's head in lines without order, and its body. */
function comparable(text: string): unknown {
  const masked = text
    .replace(/^Date: .*\r\n/gm, '')
    .replace(/(X-Etcd-Cluster-Id|X-Raft-Index|X-Raft-Term): \w+/g, '$1: some')
    .replace(/"(id|leader)":"[0-9a-f]+"/g, '"$1":"ID"')
  return masked.split('\r\n\r\n').map((part) => part.split('\r\n').sort())
}

describeWith(['daemon', 'etcd'], 'heads and bodies as Go reads them', () => {
  const clusters: Cluster[] = []

  beforeAll(async () => {
    for (const kind of ['etcd', 'ours'] as const) {
      const flags = ['--enable-v2']
      clusters.push(await Cluster.start({ name: `http-heads-${kind}`, kinds: [kind], flags }))
    }
  })
  afterAll(async () => {
    for (const cluster of clusters) await cluster.destroy()
  })

  test('every one of them is answered alike', async () => {
    const urls = clusters.map(({ members }) => members[0]?.clientUrl ?? '')
    const [expected, actual] = await Promise.all(
      urls.map(async (url) => {
        const seen: Record<string, unknown> = {}
        for (const [name, text] of Object.entries(REQUESTS)) {
          seen[name] = comparable(await exchangeForAnswer(url, Buffer.from(text, 'latin1')))
        }
        return seen
      }),
    )
    expect(actual).toEqual(expected)
  })
})
