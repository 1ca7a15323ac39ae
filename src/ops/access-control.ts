import type { FastifyInstance } from 'fastify'

export interface AccessControlOptions {
  /** Origins that may read answers in a browser; empty or with `*` = all. */
  readonly corsOrigins: readonly string[]
  /** Host names that plain-HTTP requests may be addressed to; empty or with `*` = all. */
  readonly hostWhitelist: readonly string[]
  /** Whether clients come over TLS: then the Host header needs no check. */
  readonly isSecure: boolean
  readonly onRefusedHost: (host: string) => void
}

const METHODS = 'POST, GET, OPTIONS, PUT, DELETE'
const HEADERS = 'accept, content-type, authorization'

const withoutPort = (host: string): string => host.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')

/** CORS headers and the defence against DNS rebinding, before any route (facts: http.md 1). */
export function registerAccessControl(app: FastifyInstance, options: AccessControlOptions): void {
  const allOrigins = options.corsOrigins.length === 0 || options.corsOrigins.includes('*')
  const allHosts = options.hostWhitelist.length === 0 || options.hostWhitelist.includes('*')
  app.addHook('onRequest', async (request, reply) => {
    const host = withoutPort(request.headers.host ?? '')
    if (!options.isSecure && !allHosts && !options.hostWhitelist.includes(host)) {
      options.onRefusedHost(host)
      return reply
        .code(421)
        .header('X-Content-Type-Options', 'nosniff')
        .type('text/plain; charset=utf-8')
        .send(misdirected(host))
    }
    const origin = request.headers.origin
    const allowed = allOrigins ? '*' : options.corsOrigins.find((known) => known === origin)
    if (allowed !== undefined) {
      reply.header('Access-Control-Allow-Methods', METHODS)
      reply.header('Access-Control-Allow-Origin', allowed)
      reply.header('Access-Control-Allow-Headers', HEADERS)
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
