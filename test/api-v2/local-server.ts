import { createServer } from 'node:http'
import { createServer as createSocketServer, type Server, type Socket } from 'node:net'
import { type FastifyInstance, fastify } from 'fastify'
import { createFastLane } from '../../src/api-v2/fast-lane.js'
import { registerV2Routes } from '../../src/api-v2/routes.js'
import { V2Handler } from '../../src/api-v2/v2-handler.js'
import { createHttpAccess } from '../../src/base/http-access.js'
import { registerAccessControl } from '../../src/ops/access-control.js'
import { LocalSource } from './local-source.js'
import { MemoryLog } from './memory-log.js'
import { QuickPasswords } from './quick-passwords.js'

export interface LocalServer {
  readonly app: FastifyInstance
  readonly handler: V2Handler
  readonly source: LocalSource
  readonly log: MemoryLog
  readonly passwords: QuickPasswords
  /** The sockets' server: connections begin on the fast lane, as in the daemon. */
  readonly sockets: Server
}

/** The v2 API over a store without raft, as the daemon composes it. Listens only when told to. */
export async function createLocalServer(): Promise<LocalServer> {
  const access = createHttpAccess({ corsOrigins: [], hostWhitelist: [], isSecure: false })
  const source = new LocalSource()
  const log = new MemoryLog()
  const passwords = new QuickPasswords()
  const handler = new V2Handler({ source, passwords, log })
  const app = fastify({
    logger: false,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    serverFactory: (handle) =>
      createServer((request, response) => {
        if (!handler.maybeHandleFirst(request, response, access)) handle(request, response)
      }),
  })
  registerAccessControl(app, {
    corsOrigins: [],
    hostWhitelist: [],
    isSecure: false,
    onRefusedHost: () => undefined,
  })
  app.setNotFoundHandler((_request, reply) => {
    reply
      .code(404)
      .header('X-Content-Type-Options', 'nosniff')
      .type('text/plain; charset=utf-8')
      .send('404 page not found\n')
  })
  registerV2Routes(app, handler)
  await app.ready()
  const fallback = (socket: Socket): void => {
    app.server.emit('connection', socket)
  }
  const takeSocket = createFastLane({ keys: handler.keys, access, fallback })
  const sockets = createSocketServer({ noDelay: true }, (socket) => {
    socket.on('error', () => socket.destroy())
    takeSocket(socket)
  })
  return { app, handler, source, log, passwords, sockets }
}
