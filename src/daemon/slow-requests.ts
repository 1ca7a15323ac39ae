import type { Server } from 'node:http'

/**
 * Node looks for requests that do not get on (`headersTimeout`, `requestTimeout`) only once a
 * server listens. Ours are handed their connections, so they are told that they do; nothing else
 * comes of it.
 */
export function watchSlowRequests(server: Server): void {
  server.emit('listening')
}
