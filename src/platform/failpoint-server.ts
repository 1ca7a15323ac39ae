import { writeSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { TERMS_CHARACTERS_MAX } from '../base/failpoint-terms.js'
import {
  armFailpoint,
  disarmFailpoint,
  enableFailpoints,
  FAILPOINT_NAMES,
  type FailpointEffects,
  failpointErrors,
  failpointStatus,
} from '../base/failpoints.js'

const STANDARD_OUTPUT = 1
const STANDARD_ERROR = 2
/** A request that arms all failpoints at once is no longer, in bytes. */
const BODY_BYTES_MAX = 64 * TERMS_CHARACTERS_MAX
/** Nobody sleeps longer in one go, ms. */
const SLEEP_MS_MAX = 2 ** 31 - 1

/** The real thing: a panic ends the process as a crash does, with nothing flushed or closed. */
const processEffects: FailpointEffects = {
  random: () => Math.random(),
  sleep: (ms) => {
    if (ms <= 0) return
    const nobodyWakes = new Int32Array(new SharedArrayBuffer(4))
    Atomics.wait(nobodyWakes, 0, 0, Math.min(ms, SLEEP_MS_MAX))
  },
  panic: (message) => {
    writeSync(STANDARD_ERROR, `panic: ${message}\n\n${new Error('stack').stack ?? ''}\n`)
    process.kill(process.pid, 'SIGKILL')
  },
  print: (line) => {
    writeSync(STANDARD_OUTPUT, `${line}\n`)
  },
}

/** `name=terms;name=terms`; what is wrong with it, in gofail's words, when it is not that. */
function parseAssignments(
  text: string,
): { readonly problem: string } | { readonly pairs: readonly (readonly [string, string])[] } {
  const pairs: [string, string][] = []
  for (const assignment of text.split(';')) {
    if (assignment === '') continue
    const [name, terms, ...more] = assignment.split('=')
    if (name === undefined || terms === undefined || more.length > 0) {
      return { problem: `bad failpoint ${JSON.stringify(assignment)}` }
    }
    pairs.push([name, terms])
  }
  return { pairs }
}

/**
 * Arms what GOFAIL_FAILPOINTS names, and serves GOFAIL_HTTP (`host:port`); does nothing when
 * neither is set. Rejects with a text for the operator when it cannot.
 */
export async function installFailpoints(
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Server | undefined> {
  const { GOFAIL_FAILPOINTS: assignments = '', GOFAIL_HTTP: address = '' } = environment
  if (assignments === '' && address === '') return undefined
  enableFailpoints(processEffects)
  const parsed = parseAssignments(assignments)
  if ('problem' in parsed) throw new Error(`fail to parse failpoint: ${parsed.problem}`)
  for (const [name, terms] of parsed.pairs) {
    const problem = armFailpoint(name, terms)
    // As in gofail, a name that is not known here is of no interest.
    if (problem === 'BAD_PARSE') {
      processEffects.print(`failed to enable "${name}=${terms}" (${failpointErrors[problem]})`)
    }
  }
  return address === '' ? undefined : await serve(address)
}

async function serve(address: string): Promise<Server> {
  const colon = address.lastIndexOf(':')
  const host = address.slice(0, Math.max(0, colon)).replace(/^\[|\]$/g, '')
  const port = Number(address.slice(colon + 1))
  if (colon < 0 || !Number.isInteger(port)) {
    throw new Error(`listen tcp: address ${address}: missing port in address`)
  }
  const server = createServer(handle)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, ...(host === '' ? {} : { host }) }, resolve)
  })
  // A process that has nothing else to do may end.
  server.unref()
  return server
}

function handle(request: IncomingMessage, response: ServerResponse): void {
  const name = (request.url ?? '').slice(1)
  switch (request.method) {
    case 'PUT':
      readBody(request, (body) => put(name, body, response))
      return
    case 'GET':
      get(name, response)
      return
    case 'DELETE': {
      const problem = disarmFailpoint(name)
      if (problem === undefined) response.writeHead(204).end()
      else fail(response, 400, `failed to delete failpoint ${failpointErrors[problem]}`)
      return
    }
    default:
      response.setHeader('Allow', 'PUT')
      fail(response, 405, 'Method not allowed')
  }
}

function readBody(request: IncomingMessage, done: (body: string | undefined) => void): void {
  const chunks: Buffer[] = []
  let bytes = 0
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes <= BODY_BYTES_MAX) chunks.push(chunk)
  })
  request.on('end', () =>
    done(bytes > BODY_BYTES_MAX ? undefined : Buffer.concat(chunks).toString('utf8')),
  )
}

function put(name: string, body: string | undefined, response: ServerResponse): void {
  if (body === undefined) {
    fail(response, 400, 'failed ReadAll in PUT')
    return
  }
  const isMany = name.toLowerCase() === 'failpoints'
  const parsed = isMany ? parseAssignments(body) : { pairs: [[name, body] as const] }
  if ('problem' in parsed) {
    fail(response, 400, `fail to parse failpoint: ${parsed.problem}`)
    return
  }
  for (const [one, terms] of parsed.pairs) {
    const problem = armFailpoint(one, terms)
    if (problem === undefined) continue
    fail(response, 400, `fail to set failpoint: ${failpointErrors[problem]}`)
    return
  }
  response.writeHead(204).end()
}

function get(name: string, response: ServerResponse): void {
  if (name === '') {
    const lines = FAILPOINT_NAMES.map((one) => {
      const status = failpointStatus(one)
      return `${one}=${status.kind === 'armed' ? status.text : ''}\n`
    })
    response.end(lines.sort().join(''))
    return
  }
  const isCount = name.endsWith('/count')
  const status = failpointStatus(isCount ? name.slice(0, -'/count'.length) : name)
  if (status.kind === 'armed') {
    response.end(isCount ? String(status.count) : `${status.text}\n`)
    return
  }
  const code = isCount && status.problem === 'DISABLED' ? 500 : 404
  fail(response, code, `failed to GET: ${failpointErrors[status.problem]}`)
}

function fail(response: ServerResponse, code: number, text: string): void {
  response.writeHead(code, {
    'Content-Type': 'text/plain; charset=utf-8',
    'X-Content-Type-Options': 'nosniff',
  })
  response.end(`${text}\n`)
}
