/**
 * A v2 discovery service: hands out tokens and passes their keys on to a cluster, with the pages of
 * the public service that etcd once had.
 */
import { createServer, type Server } from 'node:http'
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify'
import { INT64, parseInteger } from '../config/go-value.js'
import type { Log } from '../ports/log.js'
import { type KeysUpstream, UpstreamUnavailable } from './keys-upstream.js'
import { type CountedPage, ServiceFigures } from './service-figures.js'

export interface DiscoveryServiceOptions {
  readonly upstream: KeysUpstream
  /** What token URLs begin with; undefined = the address that the request came to. */
  readonly urlPrefix: string | undefined
  /** 32 hex digits that nobody can guess. */
  readonly createToken: () => string
  readonly log: Log
  /** Serves the pages; an HTTPS server where there is TLS. Default: a plain one. */
  readonly server?: Server
  /** Requests that may be under way at once; further ones get 503. Default REQUESTS_MAX. */
  readonly requestsMax?: number
}

/** Members of a cluster by default, as the public service had it. */
const SIZE_DEFAULT = 3
/** No cluster is larger; a typing error is. */
const SIZE_MAX = 1000
/** A member registers itself with a name and some URLs. */
const BODY_BYTES_MAX = 64 * 1024
/** Most requests under way are waits of members. */
const REQUESTS_MAX = 10_000

const REGISTRY = '/v2/keys/_etcd/registry'
/** Headers of one connection, not of the message (RFC 9110 7.6.1). */
const CONNECTION_HEADERS = [
  ...['connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'te', 'trailer'],
  ...['transfer-encoding', 'upgrade'],
]
/** Headers of a request that are made anew for the member that gets it. */
const REQUEST_HEADERS = [...CONNECTION_HEADERS, 'host', 'content-length', 'expect']
/** Pages that exist, for whoever asks in a way that they do not answer. */
const KNOWN = /^\/(?:|new|health|metrics|robots\.txt|[a-f0-9]{32}(?:\/[^/]+|\/_config\/size)?)\/?$/
const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' }
const HOME =
  'This is an etcd discovery service. GET /new?size=3 makes a token for a cluster of three:\n' +
  'start each of its members with --discovery and the URL that comes back.\n'

const refuse = (reply: FastifyReply, code: number, text: string): FastifyReply =>
  reply.code(code).type('text/plain; charset=utf-8').send(`${text}\n`)

function withoutHeaders(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  dropped: readonly string[],
): Record<string, string | string[]> {
  const kept: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !dropped.includes(name)) kept[name] = value
  }
  return kept
}

/** The number of members that is asked for; a text says why it cannot be. */
function parseSize(text: string | undefined): number | string {
  if (text === undefined || text === '') return SIZE_DEFAULT
  const read = /^[+-]?\d+$/.test(text) ? parseInteger(String(BigInt(text)), INT64) : undefined
  if (read?.kind !== 'value') return `strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`
  if (read.value >= 1 && read.value <= SIZE_MAX) return read.value
  return `the size must be from 1 to ${SIZE_MAX}, got ${text}`
}

class DiscoveryService {
  readonly #options: DiscoveryServiceOptions
  #underWay = 0

  constructor(options: DiscoveryServiceOptions) {
    this.#options = options
  }

  /** A new token, with the size of its cluster; undefined when the cluster does not take it. */
  async #makeToken(size: number): Promise<string | undefined> {
    const { upstream, createToken, log } = this.#options
    const token = createToken()
    const body = Buffer.from(`value=${size}`)
    const path = `${REGISTRY}/${token}/_config/size?prevExist=false`
    try {
      const answer = await upstream.ask({ method: 'PUT', path, headers: FORM, body })
      if (answer.status === 201) return token
      log.warn('the cluster refused a new token', { status: answer.status, answer: answer.body })
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      log.warn('the cluster could not be asked for a new token', { error: text })
    }
    return undefined
  }

  async create(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { urlPrefix, log } = this.#options
    const inUrl = new URL(request.url, 'http://x').searchParams.get('size')
    const inForm = Buffer.isBuffer(request.body)
      ? new URLSearchParams(request.body.toString('utf8')).get('size')
      : null
    const size = parseSize(inForm ?? inUrl ?? undefined)
    if (typeof size === 'string') return refuse(reply, 400, size)
    const token = await this.#makeToken(size)
    if (token === undefined) return refuse(reply, 503, 'Unable to generate token')
    log.info('made a discovery token', { token, size })
    const prefix = urlPrefix ?? `${request.protocol}://${request.host}`
    const text = `${prefix.replace(/\/+$/, '')}/${token}`
    return reply.type('text/plain; charset=utf-8').send(text)
  }

  /** Healthy is who can make a token; it is removed again. */
  async health(_request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const token = await this.#makeToken(1)
    const path = `${REGISTRY}/${token}?recursive=true`
    const gone =
      token === undefined
        ? undefined
        : await this.#options.upstream
            .ask({ method: 'DELETE', path, headers: {}, body: undefined })
            .catch(() => undefined)
    if (gone?.status !== 200) return refuse(reply, 503, 'the cluster takes no keys')
    return reply.type('text/plain; charset=utf-8').send('OK')
  }

  /** Passes a request for a key of a token on, waits included, until the client goes away. */
  async forward(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { requestsMax = REQUESTS_MAX } = this.#options
    if (this.#underWay >= requestsMax) return refuse(reply, 503, 'too many requests are under way')
    const client = new AbortController()
    this.#underWay += 1
    reply.raw.once('close', () => {
      this.#underWay -= 1
      client.abort()
    })
    try {
      const answer = await this.#options.upstream.forward(
        {
          method: request.method,
          path: REGISTRY + request.url,
          headers: withoutHeaders(request.headers, REQUEST_HEADERS),
          body: Buffer.isBuffer(request.body) ? request.body : undefined,
        },
        client.signal,
      )
      return reply
        .code(answer.statusCode ?? 502)
        .headers(withoutHeaders(answer.headers, CONNECTION_HEADERS))
        .send(answer)
    } catch (error) {
      if (client.signal.aborted) return reply.hijack()
      if (!(error instanceof UpstreamUnavailable)) throw error
      this.#options.log.warn('the cluster cannot be reached', { error: error.message })
      return refuse(reply, 502, 'the cluster behind this service cannot be reached')
    }
  }
}

/** `undefined` = requests of this route are not counted. */
function countedPage(route: string | undefined): CountedPage | undefined {
  if (route === '/new') return 'new'
  if (route === '/health') return 'health'
  return route?.startsWith('/:token') === true ? 'token' : undefined
}

/** The service as an application of fastify, to be listened with and closed. */
export function createDiscoveryService(options: DiscoveryServiceOptions): FastifyInstance {
  const service = new DiscoveryService(options)
  const app = fastify({
    bodyLimit: BODY_BYTES_MAX,
    forceCloseConnections: true,
    // Where a page is only for GET, the service of etcd answers 405 to HEAD.
    exposeHeadRoutes: false,
    routerOptions: { ignoreTrailingSlash: true },
    serverFactory: (handler) => {
      const server = options.server ?? createServer()
      server.on('request', handler)
      return server
    },
  })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.setNotFoundHandler((request, reply) => {
    const isKnown = KNOWN.test(request.url.replace(/\?.*/, ''))
    return isKnown ? reply.code(405).send() : refuse(reply, 404, '404 page not found')
  })
  const token = '/:token(^[a-f0-9]{32}$)'
  const figures = new ServiceFigures()
  app.addHook('onResponse', async (request, reply) => {
    const page = countedPage(request.routeOptions.url)
    if (page !== undefined) figures.answered(page, reply.statusCode, request.method)
  })
  app.get('/metrics', async (_request, reply) =>
    reply.type(figures.contentType).send(await figures.text()),
  )
  const forward = service.forward.bind(service)
  app.get('/', (_request, reply) => reply.type('text/plain; charset=utf-8').send(HOME))
  app.get('/robots.txt', (_request, reply) => reply.send('User-agent: *\nDisallow: /'))
  app.route({
    method: ['GET', 'PUT', 'POST'],
    url: '/new',
    handler: service.create.bind(service),
  })
  app.get('/health', service.health.bind(service))
  app.route({ method: ['GET', 'PUT'], url: token, handler: forward })
  app.route({ method: ['GET', 'PUT', 'DELETE'], url: `${token}/:member`, handler: forward })
  app.get(`${token}/_config/size`, forward)
  return app
}
