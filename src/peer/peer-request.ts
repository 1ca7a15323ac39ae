/**
 * HTTP requests to peers that are answered once: pipelined messages, probes, calls to other
 * members.
 */
import { type Agent, type ClientRequest, type IncomingMessage, request } from 'node:http'
import { type DialOptions, dial, networkErrorText } from './dial.js'

/** Opens a request to a path at a peer URL, over the agent's connections or one of its own. */
export function openPeerRequest(
  url: URL,
  init: Readonly<{
    method: 'GET' | 'POST'
    path: string
    headers: Readonly<Record<string, string | number>>
    agent: Agent | DialOptions
  }>,
): ClientRequest {
  const { method, path, headers, agent } = init
  const connection =
    'dialTimeoutMs' in agent
      ? { createConnection: () => dial(url, agent) }
      : { agent, peerUrl: url }
  return request({ method, path, headers: { Host: url.host, ...headers }, ...connection })
}

/** Reads a body up to `bytesMax`; longer ones fail. */
export function readBody(message: IncomingMessage, bytesMax: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let bytes = 0
    message.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > bytesMax) {
        message.removeAllListeners('data')
        reject(new Error('the body is too large'))
        return
      }
      chunks.push(chunk)
    })
    message.on('end', () => resolve(Buffer.concat(chunks)))
    message.on('aborted', () => reject(new Error('unexpected EOF')))
    message.on('error', reject)
    message.on('close', () => reject(new Error('unexpected EOF')))
  })
}

export interface PeerAnswer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

export interface PeerCall {
  readonly url: URL
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | undefined
  readonly agent: Agent | DialOptions
  /** From now to the end of the answer. */
  readonly timeoutMs: number
  readonly answerBytesMax: number
}

/** One request and its whole answer. Rejects with Go's wording of network failures. */
export function callPeer(call: PeerCall, isRetry = false): Promise<PeerAnswer> & { abort(): void } {
  const { body } = call
  const outgoing = openPeerRequest(call.url, {
    ...call,
    headers: { ...call.headers, ...(body === undefined ? {} : { 'Content-Length': body.length }) },
  })
  let abortRetry: (() => void) | undefined
  const answer = new Promise<PeerAnswer>((resolve, reject) => {
    const timer = setTimeout(() => outgoing.destroy(new Error('i/o timeout')), call.timeoutMs)
    const fail = (error: Error): void => {
      clearTimeout(timer)
      reject(new Error(networkErrorText(error), { cause: error }))
    }
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      // The peer closed a kept connection just when we used it: nothing was read, so it is tried
      // once more.
      const isStale = outgoing.reusedSocket && !isRetry
      if (!isStale || (error.code !== 'ECONNRESET' && error.code !== 'EPIPE')) {
        fail(error)
        return
      }
      clearTimeout(timer)
      const again = callPeer(call, true)
      abortRetry = () => again.abort()
      again.then(resolve, reject)
    })
    outgoing.on('response', (response) => {
      readBody(response, call.answerBytesMax).then((content) => {
        clearTimeout(timer)
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: content })
      }, fail)
    })
  })
  outgoing.end(body)
  const abort = (): void => {
    outgoing.destroy(new Error('stopped'))
    abortRetry?.()
  }
  return Object.assign(answer, { abort })
}
