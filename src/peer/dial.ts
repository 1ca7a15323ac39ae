/**
 * Connections to peers: TCP, TLS or a unix socket, standing within the dial timeout or not at all.
 */
import { Agent, type ClientRequestArgs } from 'node:http'
import { connect, isIP, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import { invariant } from '../base/invariant.js'

/** Between two TCP keep-alive probes (facts: peer-protocol.md 14). */
const KEEP_ALIVE_MS = 30_000

export interface DialOptions {
  readonly dialTimeoutMs: number
  readonly tlsClientOptions?: () => ConnectionOptions | undefined
}

const isTls = (url: URL): boolean => url.protocol === 'https:' || url.protocol === 'unixs:'
const isUnix = (url: URL): boolean => url.protocol === 'unix:' || url.protocol === 'unixs:'

/** Where a URL leads. `unix://host:port` names a socket file `host:port`, as in etcd. */
function targetOf(url: URL): { path: string } | { host: string; port: number } {
  if (isUnix(url)) return { path: url.host + url.pathname.replace(/\/$/, '') }
  const port = url.port === '' ? (isTls(url) ? 443 : 80) : Number(url.port)
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port }
}

/**
 * Starts a connection. The socket may be written at once; it is destroyed with an error when it
 * does not stand in time. Throws when the TLS options cannot be had.
 */
export function dial(url: URL, options: DialOptions): Socket {
  const target = targetOf(url)
  const socket = isTls(url) ? dialTls(url, target, options) : connect(target)
  socket.setNoDelay(true)
  socket.setKeepAlive(true, KEEP_ALIVE_MS)
  const timer = setTimeout(
    () => socket.destroy(new Error(`dial tcp ${url.host}: i/o timeout`)),
    options.dialTimeoutMs,
  )
  const settle = (): void => clearTimeout(timer)
  socket.once(isTls(url) ? 'secureConnect' : 'connect', settle)
  socket.once('close', settle)
  return socket
}

function dialTls(
  url: URL,
  target: { path: string } | { host: string; port: number },
  options: DialOptions,
): Socket {
  const name = url.hostname.replace(/^\[|\]$/g, '')
  return connectTls({
    ...target,
    ALPNProtocols: ['http/1.1'],
    ...(isIP(name) === 0 && !isUnix(url) ? { servername: name } : {}),
    // Last, as they may name the server in place of its host.
    ...options.tlsClientOptions?.(),
  })
}

/** A failure as Go prints it, so that logs of both daemons can be searched alike. */
export function networkErrorText(error: Error): string {
  const { code, address, port, syscall, hostname } = error as NodeJS.ErrnoException & {
    address?: string
    port?: number
    hostname?: string
  }
  const where = address === undefined ? '' : ` ${address}${port === undefined ? '' : `:${port}`}`
  switch (code) {
    case 'ECONNREFUSED':
      return `dial tcp${where}: connect: connection refused`
    case 'ECONNRESET':
      return 'read: connection reset by peer'
    case 'EPIPE':
      return 'write: broken pipe'
    case 'ENOTFOUND':
      return `dial tcp: lookup ${hostname ?? ''}: no such host`
    case 'ETIMEDOUT':
      return syscall === 'connect' ? `dial tcp${where}: i/o timeout` : 'i/o timeout'
    default:
      return error.message === '' ? (code ?? 'unknown error') : error.message
  }
}

interface PeerRequestArgs extends ClientRequestArgs {
  /** Where this request goes; the agent dials it. */
  readonly peerUrl?: URL
}

/** Keeps connections to peers for pipelined messages and probes. */
export class PeerAgent extends Agent {
  readonly #options: DialOptions

  constructor(options: DialOptions) {
    super({ keepAlive: true, maxFreeSockets: 8 })
    this.#options = options
  }

  /** Fails through the callback, because Node's agent lets what is thrown here escape. */
  override createConnection(
    args: PeerRequestArgs,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | undefined {
    const fail = callback as ((error: unknown) => void) | undefined
    invariant(args.peerUrl !== undefined, 'requests of this agent name their peer')
    try {
      return dial(args.peerUrl, this.#options)
    } catch (error) {
      fail?.(error)
      return undefined
    }
  }

  override getName(args?: PeerRequestArgs): string {
    return args?.peerUrl?.href ?? ''
  }
}
