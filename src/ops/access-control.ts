import type { FastifyInstance } from 'fastify'
import { createHttpAccess, type HttpAccessOptions, withoutPort } from '../base/http-access.js'

export interface AccessControlOptions extends HttpAccessOptions {
  readonly onRefusedHost: (host: string) => void
}

/** CORS headers and the defence against DNS rebinding, before any route (facts: http.md 1). */
export function registerAccessControl(app: FastifyInstance, options: AccessControlOptions): void {
  const access = createHttpAccess(options)
  app.addHook('onRequest', async (request, reply) => {
    const headers = access(request.headers.host, request.headers.origin)
    if (headers === undefined) {
      const host = withoutPort(request.headers.host ?? '')
      options.onRefusedHost(host)
      return reply
        .code(421)
        .header('X-Content-Type-Options', 'nosniff')
        .type('text/plain; charset=utf-8')
        .send(misdirected(host))
    }
    for (let at = 0; at < headers.length; at += 2) {
      reply.header(headers[at] ?? '', headers[at + 1])
    }
    if (request.method === 'OPTIONS') return reply.code(200).send()
    return undefined
  })
}

function misdirected(host: string): string {
  return `
etcd received your request, but the Host header was unrecognized.

To fix this, choose one of the following options:
- Enable TLS, then any HTTPS request will be allowed.
- Add the hostname you want to use to the whitelist in settings.
  - e.g. etcd --host-whitelist ${JSON.stringify(host)}

This requirement has been added to help prevent "DNS Rebinding" attacks (CVE-2018-5702).

`
}
