/** Bodies of requests, up to a limit. */
import type { IncomingMessage } from 'node:http'

/** What Go's ParseForm accepts, bytes. */
export const FORM_BYTES_MAX = 10 * 1024 * 1024
/** The body of a change of membership, bytes. */
export const JSON_BYTES_MAX = 1024 * 1024

export type Body =
  | { readonly kind: 'body'; readonly bytes: Buffer }
  | { readonly kind: 'too-large' }

const EMPTY = Buffer.alloc(0)

/**
 * Collects the body; `done` comes once, and not at all when the client goes away before its end.
 * What is beyond the limit is read and thrown away, so that the client gets to see the answer.
 */
export function readBody(
  request: IncomingMessage,
  bytesMax: number,
  done: (body: Body) => void,
): void {
  let chunks: Buffer[] = []
  let length = 0
  request.on('data', (chunk: Buffer) => {
    length += chunk.length
    if (length > bytesMax) chunks = []
    else chunks.push(chunk)
  })
  request.on('end', () => {
    if (length > bytesMax) {
      done({ kind: 'too-large' })
      return
    }
    const [first = EMPTY] = chunks
    done({ kind: 'body', bytes: chunks.length > 1 ? Buffer.concat(chunks, length) : first })
  })
}
