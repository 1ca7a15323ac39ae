/** The v2 API as routes of a fastify application. */
import type { FastifyInstance, FastifyReply } from 'fastify'
import type { V2Handler } from './v2-handler.js'

/** Headers that hooks of the application have set so far. */
function headersOf(reply: FastifyReply): readonly string[] {
  return Object.entries(reply.getHeaders()).flatMap(([name, value]) =>
    value === undefined ? [] : [name, String(value)],
  )
}

/**
 * Registers all of /v2, and Go's redirects of unclean paths for every route registered after it.
 * The answers are written to Node's response directly, before fastify reads the body. The handler
 * may also stand before fastify (`V2Handler.maybeHandleFirst`). Waiting clients are sent away when
 * the application closes.
 */
export function registerV2Routes(app: FastifyInstance, handler: V2Handler): void {
  app.addHook('onRequest', (request, reply, done) => {
    if (handler.maybeHandle(request.raw, reply.raw, headersOf(reply))) reply.hijack()
    else done()
  })
  app.addHook('preClose', (done) => {
    handler.close()
    done()
  })
}
