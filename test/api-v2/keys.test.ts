// Goal: requests about keys by example, and what only happens with a cluster in trouble. Method:
// fastify's
// inject over a real store without raft. The full table runs beside etcd in
// test/interop/v2-table.test.ts.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FORM_BYTES_MAX } from '../../src/api-v2/read-body.js'
import { createLocalServer, type LocalServer } from './local-server.js'

type Method = 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE' | 'PATCH' | 'OPTIONS'

let server: LocalServer
beforeEach(async () => {
  server = await createLocalServer()
})
afterEach(() => server.app.close())

const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

function ask(method: Method, path: string, form?: string) {
  const url = `/v2/keys${path}`
  if (form === undefined) return server.app.inject({ method, url })
  return server.app.inject({ method, url, payload: form, headers: FORM })
}

describe('keys', () => {
  test('a new file is created with 201, its indexes and headers', async () => {
    const answer = await ask('PUT', '/foo', 'value=bar')
    expect(answer.statusCode).toBe(201)
    expect(answer.body).toBe(
      '{"action":"set","node":{"key":"/foo","value":"bar","modifiedIndex":4,"createdIndex":4}}\n',
    )
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json',
      'x-etcd-cluster-id': '534a021c215e0774',
      'x-etcd-index': '4',
      'x-raft-index': '5',
      'x-raft-term': '2',
      'access-control-allow-origin': '*',
    })
  })

  test('HEAD has the headers of GET and no body', async () => {
    await ask('PUT', '/foo', 'value=bar')
    const answer = await ask('HEAD', '/foo')
    expect(answer.statusCode).toBe(200)
    expect(answer.body).toBe('')
    expect(answer.headers['content-length']).toBe('88')
  })

  test('errors carry code, cause and index, and no place in the log', async () => {
    const answer = await ask('GET', '/nothing/at/all')
    expect(answer.statusCode).toBe(404)
    expect(answer.json()).toEqual({
      errorCode: 100,
      message: 'Key not found',
      cause: '/nothing',
      index: 3,
    })
    expect(answer.headers['x-etcd-index']).toBe('3')
    expect(answer.headers['x-raft-index']).toBeUndefined()
  })

  test('a TTL ends as many seconds from now, also when 64 bits do not hold it', async () => {
    server.source.now = Date.UTC(2026, 0, 1)
    const short = await ask('PUT', '/t', 'value=1&ttl=10')
    expect(short.json().node).toMatchObject({ expiration: '2026-01-01T00:00:10Z', ttl: 10 })
    const around = await ask('PUT', '/t', 'value=1&ttl=18446744073709551615')
    expect(around.json().node).toMatchObject({ expiration: '2025-12-31T23:59:59Z', ttl: -1 })
  })

  test('an index that no store can have compares as different', async () => {
    await ask('PUT', '/foo', 'value=bar')
    const answer = await ask('PUT', '/foo', 'value=x&prevIndex=18446744073709551615')
    expect(answer.json()).toMatchObject({ errorCode: 101 })
  })

  test.each([
    'etcdserver: request timed out',
    'etcdserver: server stopped',
    'etcdserver: too many requests',
  ])('%s is error 300 with index 0', async (reason) => {
    server.source.failure = reason
    for (const answer of [
      await ask('PUT', '/foo', 'value=bar'),
      await ask('GET', '/foo?quorum=true'),
    ]) {
      expect(answer.statusCode).toBe(500)
      expect(answer.headers['x-etcd-index']).toBe('0')
      expect(answer.json()).toEqual({
        errorCode: 300,
        message: 'Raft Internal Error',
        cause: reason,
        index: 0,
      })
    }
  })

  test('plain reads do not go through the log, quorum reads do', async () => {
    await ask('GET', '/?recursive=true')
    await ask('HEAD', '/?quorum=true')
    expect(server.source.proposed).toEqual([])
    await ask('GET', '/?quorum=true&wait=true')
    expect(server.source.proposed).toMatchObject([{ Method: 'QGET', Path: '/1' }])
  })

  test('a form beyond its limit is refused as a form', async () => {
    const answer = await ask('PUT', '/foo', `value=${'x'.repeat(FORM_BYTES_MAX)}`)
    expect(answer.json()).toMatchObject({ errorCode: 210, cause: 'http: POST too large' })
  })

  test('a refresh is not told in the answer', async () => {
    await ask('PUT', '/foo', 'value=bar&ttl=10')
    const answer = await ask('PUT', '/foo', 'ttl=20&refresh=true')
    expect(Object.keys(answer.json())).toEqual(['action', 'node', 'prevNode'])
  })

  test('unclean paths are redirected, whatever route they are for', async () => {
    for (const [url, location] of [
      ['//v2/keys/a?x=1', '/v2/keys/a?x=1'],
      ['/health//more', '/health/more'],
      ['/v2/keys//%20', '/v2/keys/%20'],
    ]) {
      const answer = await server.app.inject({ method: 'GET', url: url ?? '' })
      expect([answer.statusCode, answer.headers.location]).toEqual([301, location])
    }
  })
})
