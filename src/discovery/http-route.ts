/** The way to an HTTP server: straight, or through an HTTP proxy. */
import { type ClientRequest, type IncomingMessage, type RequestOptions, request } from 'node:http'
import { request as requestTls } from 'node:https'
import { isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { type Parsed, refused, value } from '../config/go-value.js'
import { parseGoUrl } from '../config/server-url.js'
import { networkErrorText } from '../peer/dial.js'
import { systemAuthorities } from '../platform/system-authorities.js'

/** One request, its body complete. */
export interface Outgoing {
  readonly url: URL
  readonly method: 'GET' | 'PUT'
  readonly headers: Readonly<Record<string, string | number>>
  readonly body: string | undefined
}

export interface HttpRoute {
  /** Starts a request; the caller listens for its response and its errors. */
  open(outgoing: Outgoing): ClientRequest
  /** How Go words what went wrong on this way. */
  failureText(error: NodeJS.ErrnoException): string
}

const bareHost = (url: URL): string => url.hostname.replace(/^\[|\]$/g, '')
const portOf = (url: URL): number =>
  url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)
const serverName = (url: URL): { servername?: string } =>
  isIP(bareHost(url)) === 0 ? { servername: bareHost(url) } : {}

function trusted(): { ca?: string } {
  const ca = systemAuthorities()
  return ca === undefined ? {} : { ca }
}

/** What Go says when a server ends the connection instead of answering. */
const textOf = (error: NodeJS.ErrnoException): string =>
  error.message === 'socket hang up' ? 'EOF' : networkErrorText(error)

/** Straight to the server. Connections are not kept: the requests are few. */
export const directRoute: HttpRoute = {
  open: ({ url, method, headers, body }) => {
    const options: RequestOptions = { method, headers: { ...headers }, agent: false }
    const outgoing =
      url.protocol === 'https:'
        ? requestTls(url, { ...options, ...trusted() })
        : request(url, options)
    outgoing.end(body)
    return outgoing
  },
  failureText: textOf,
}

function proxyHeaders(proxy: URL): Record<string, string> {
  if (proxy.username === '') return {}
  const user = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`
  return { 'Proxy-Authorization': `Basic ${Buffer.from(user).toString('base64')}` }
}

function toProxy(proxy: URL, options: RequestOptions): ClientRequest {
  const target = { ...options, host: bareHost(proxy), port: portOf(proxy), agent: false as const }
  return proxy.protocol === 'https:'
    ? requestTls({ ...target, ...trusted(), ...serverName(proxy) })
    : request(target)
}

/** Asks the proxy for a tunnel to the server. */
function openTunnel(
  proxy: URL,
  url: URL,
  done: (error: Error | null, socket?: Socket) => void,
): void {
  const authority = `${url.hostname}:${portOf(url)}`
  const asking = toProxy(proxy, {
    method: 'CONNECT',
    path: authority,
    headers: { Host: authority, ...proxyHeaders(proxy) },
  })
  asking.once('connect', (response: IncomingMessage, socket: Socket) => {
    if (response.statusCode === 200) {
      done(null, socket)
      return
    }
    socket.destroy()
    done(new Error(response.statusMessage ?? 'the proxy refused a tunnel'))
  })
  asking.once('response', (response: IncomingMessage) => {
    response.destroy()
    done(new Error(response.statusMessage ?? 'the proxy refused a tunnel'))
  })
  asking.once('error', done)
  asking.end()
}

/** TLS with the server at the other end of a tunnel, which ends with it. */
function secure(tunnel: Socket, url: URL): Socket {
  const host = bareHost(url)
  const inside = connectTls({ socket: tunnel, host, ...trusted(), ...serverName(url) })
  inside.once('close', () => tunnel.destroy())
  return inside
}

function throughTunnel(proxy: URL, { url, method, headers }: Outgoing): ClientRequest {
  return requestTls(url, {
    method,
    headers: { ...headers, Connection: 'close' },
    // Without an agent, which would dial by itself.
    createConnection: (_options, created) => {
      openTunnel(proxy, url, (error, socket) => {
        const done = created as (error: Error | null, socket?: Socket) => void
        if (error !== null || socket === undefined) done(error)
        else done(null, secure(socket, url))
      })
      return undefined
    },
  })
}

/** Through a proxy: plain requests are handed to it whole, those over TLS go through a tunnel. */
function proxyRoute(proxy: URL): HttpRoute {
  return {
    open: (outgoing) => {
      const { url, method, headers, body } = outgoing
      const started =
        url.protocol === 'https:'
          ? throughTunnel(proxy, outgoing)
          : toProxy(proxy, {
              method,
              path: url.href,
              headers: { Host: url.host, ...headers, ...proxyHeaders(proxy) },
            })
      started.end(body)
      return started
    },
    // A proxy that cannot be reached is told apart from a server that cannot.
    failureText: (error) => {
      const isDial = error.syscall === 'connect' || error.syscall === 'getaddrinfo'
      return isDial ? `proxyconnect tcp: ${textOf(error)}` : textOf(error)
    },
  }
}

/**
 * The route for the text of `--discovery-proxy`: '' = none. A text that is no http URL is tried
 * with `http://` in front, as etcd does. Returns the URL in force for the log.
 */
export function parseProxyRoute(
  text: string,
): Parsed<{ readonly route: HttpRoute; readonly proxyUrl: string | undefined }> {
  if (text === '') return value({ route: directRoute, proxyUrl: undefined })
  const first = parseGoUrl(text)
  const isHttp = first.kind === 'value' && first.value.scheme.startsWith('http')
  const parsed = isHttp ? first : parseGoUrl(`http://${text}`)
  const bad = (reason: string): Parsed<never> =>
    refused(`invalid proxy address ${JSON.stringify(text)}: ${reason}`)
  if (parsed.kind === 'refused') return bad(first.kind === 'refused' ? first.reason : parsed.reason)
  try {
    const url = new URL(parsed.value.text)
    return value({ route: proxyRoute(url), proxyUrl: parsed.value.text })
  } catch (error) {
    return bad(error instanceof Error ? error.message : String(error))
  }
}
