import { Agent, type IncomingMessage, request as startRequest } from 'node:http'
import type { Step } from './v2-steps.js'

/** What is compared of an answer. */
export interface Seen {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Headers that are about the moment or about framing. */
const IGNORED = new Set(['date', 'content-length', 'transfer-encoding', 'connection', 'keep-alive'])
const MASKED = new Set(['x-raft-index', 'x-raft-term', 'x-etcd-cluster-id'])
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

/** A tenth of a second apart. */
const ATTEMPTS_MAX = 300

const agent = new Agent({ keepAlive: true })

interface Open {
  readonly response: IncomingMessage
  readonly abort: () => void
}

function open({ url, peerUrl, memberId }: Server, step: Step): Promise<Open> {
  const { hostname, port } = new URL(url)
  const body = step.body?.replace('SELF', peerUrl)
  // Node frames a body by itself only where it expects one, which is not so for DELETE.
  const framed = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
  const headers = { ...(body === undefined ? {} : FORM), ...framed, ...step.headers }
  return new Promise((resolve, reject) => {
    const request = startRequest(
      {
        hostname,
        port,
        path: step.path.replace('MEMBERID', memberId),
        method: step.method,
        headers,
        agent,
      },
      (response) => resolve({ response, abort: () => request.destroy() }),
    )
    request.on('error', reject)
    request.end(body)
  })
}

async function readLines(response: IncomingMessage, count: number): Promise<string> {
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) {
    text += chunk
    if (text.split('\n').length > count) break
  }
  if (count === Number.POSITIVE_INFINITY) return text
  return text.split('\n').slice(0, count).join('\n')
}

function headersOf(response: IncomingMessage): Record<string, string> {
  const seen: Record<string, string> = {}
  for (const [name, value] of Object.entries(response.headers)) {
    if (!IGNORED.has(name)) seen[name] = MASKED.has(name) ? 'some' : String(value)
  }
  return seen
}

export interface Server {
  readonly url: string
  readonly peerUrl: string
  /** What `MEMBERID` in a path stands for. */
  readonly memberId: string
}

/** The server of a cluster's first member. */
export async function serverOf(url: string, peerUrl: string): Promise<Server> {
  const response = await fetch(`${url}/v2/members`)
  const { members } = (await response.json()) as { members: readonly { readonly id: string }[] }
  return { url, peerUrl, memberId: members[0]?.id ?? '' }
}

/** Asks one step; a step with `during` is answered while those are asked. */
export async function ask(server: Server, step: Step): Promise<Seen> {
  for (let asked = 1; asked < (step.times ?? 1); asked++) await askOnce(server, step)
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const seen = await askOnce(server, step)
    if (step.until === undefined || seen.status === step.until) return seen
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error(`${step.method} ${step.path} never had status ${step.until}`)
}

async function askOnce(server: Server, step: Step): Promise<Seen> {
  const { response, abort } = await open(server, step)
  for (const other of step.during ?? []) await ask(server, other)
  const body = await readLines(response, step.lines ?? Number.POSITIVE_INFINITY)
  if (step.lines !== undefined) abort()
  const seen = { status: response.statusCode ?? 0, headers: headersOf(response), body }
  return { ...seen, body: comparable(body, step, server) }
}

/** Lists without `sorted` have no order in etcd. */
function comparable(body: string, step: Step, server: Server): string {
  const masked = body
    .replaceAll(server.url, 'CLIENT')
    .replaceAll(server.peerUrl, 'PEER')
    .replaceAll(server.memberId, 'MEMBER')
    .replace(/"expiration":"[^"]*"/g, '"expiration":"T"')
    // One of a second at most is 0, and then left out, when its answer was made late.
    .replace(/,"ttl":(?:1|-\d+)(?=[,}])/g, '')
    .replace(/"ttl":\d+/g, '"ttl":0')
    .replace(/"(id|leader)":"[0-9a-f]+"/g, '"$1":"ID"')
    .replace(/"(uptime|startTime)":"[^"]*"/g, '"$1":"T"')
    .replace(/"name":"[^"]*"/g, '"name":"NAME"')
    .replace(/"watchers":\d+/g, '"watchers":0')
    .replace(/"gets(Success|Fail)":\d+/g, '"gets$1":0')
  if (step.path.includes('sorted=true') || !masked.includes('"nodes":[')) return masked
  return `${JSON.stringify(JSON.parse(masked, sortNodes))} in any order`
}

function sortNodes(name: string, value: unknown): unknown {
  if (name !== 'nodes' || !Array.isArray(value)) return value
  return value.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
}
