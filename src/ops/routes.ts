import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import {
  checkHealth,
  checkzPage,
  type HealthSource,
  LIVEZ_CHECKS,
  READYZ_CHECKS,
} from './health.js'

/** What the operators' pages show. */
export interface OpsSource extends HealthSource {
  readonly serverVersion: string
  /** `3.5.0`, or `not_decided` while the cluster has no version yet. */
  clusterVersion(): string
  /** Prometheus text format 0.0.4. */
  metricsText(): Promise<string>
  /** The members of `/debug/vars` beside `cmdline`. */
  debugVars(): Readonly<Record<string, unknown>>
  onHealthChecked(isHealthy: boolean): void
}

const TEXT = 'text/plain; charset=utf-8'

const wordsOf = (value: unknown): ReadonlySet<string> =>
  new Set(
    (Array.isArray(value) ? value : [value]).filter(
      (word): word is string => typeof word === 'string',
    ),
  )

type Query = Readonly<Record<string, unknown>>
const queryOf = (request: FastifyRequest): Query => request.query as Query

/** What a wrong method gets: text, and `Allow` with the methods that work (facts: http.md 2). */
export function methodNotAllowed(reply: FastifyReply, allow: string): FastifyReply {
  return reply
    .code(405)
    .header('Allow', allow)
    .header('X-Content-Type-Options', 'nosniff')
    .type(TEXT)
    .send('Method Not Allowed\n')
}

function getOnly(
  app: FastifyInstance,
  url: string,
  handle: (request: FastifyRequest, reply: FastifyReply) => unknown,
): void {
  app.all(url, (request, reply) =>
    request.method === 'GET' ? handle(request, reply) : methodNotAllowed(reply, 'GET'),
  )
}

/**
 * `/health`, `/livez`, `/readyz` and `/metrics`: what the metrics port serves, and the client port
 * too.
 */
export function registerHealthRoutes(app: FastifyInstance, source: OpsSource): void {
  app.all('/metrics', async (_request, reply) =>
    reply.type('text/plain; version=0.0.4; charset=utf-8').send(await source.metricsText()),
  )
  getOnly(app, '/health', async (request, reply) => {
    const query = queryOf(request)
    const answer = await checkHealth(source, wordsOf(query.exclude), query.serializable === 'true')
    source.onHealthChecked(answer.isHealthy)
    const body = JSON.stringify({ health: String(answer.isHealthy), reason: answer.reason })
    if (answer.isHealthy) return reply.type(TEXT).send(body)
    return reply.code(503).header('X-Content-Type-Options', 'nosniff').type(TEXT).send(`${body}\n`)
  })
  for (const [root, checks] of [
    ['/livez', LIVEZ_CHECKS],
    ['/readyz', READYZ_CHECKS],
  ] as const) {
    getOnly(app, root, (request, reply) => {
      const { exclude, verbose } = queryOf(request)
      return sendCheckz(
        reply,
        checkzPage(source, checks, {
          excluded: wordsOf(exclude),
          isVerbose: verbose !== undefined,
        }),
      )
    })
    for (const check of checks) {
      getOnly(app, `${root}/${check.name}`, (request, reply) => {
        const isVerbose = queryOf(request).verbose !== undefined
        return sendCheckz(reply, checkzPage(source, [check], { excluded: new Set(), isVerbose }))
      })
    }
  }
}

async function sendCheckz(
  reply: FastifyReply,
  page: ReturnType<typeof checkzPage>,
): Promise<FastifyReply> {
  const { isHealthy, text } = await page
  return reply
    .code(isHealthy ? 200 : 503)
    .header('X-Content-Type-Options', 'nosniff')
    .type(TEXT)
    .send(text)
}

/** `/version` and `/debug/vars`. */
export function registerInfoRoutes(app: FastifyInstance, source: OpsSource): void {
  getOnly(app, '/version', (_request, reply) =>
    /* As bytes: to a string of JSON fastify adds a charset, which etcd does not. */
    reply.type('application/json').send(Buffer.from(versionJson(source))),
  )
  getOnly(app, '/debug/vars', (_request, reply) =>
    reply
      .type('application/json; charset=utf-8')
      .send(`${JSON.stringify({ cmdline: process.argv, ...source.debugVars() }, null, 1)}\n`),
  )
}

/** The body of `/version`, on the client and on the peer port (facts: http.md 6). */
export function versionJson(source: Pick<OpsSource, 'serverVersion' | 'clusterVersion'>): string {
  return JSON.stringify({ etcdserver: source.serverVersion, etcdcluster: source.clusterVersion() })
}
