import { chmodSync, unlinkSync } from 'node:fs'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TLSSocket } from 'node:tls'
import { DaemonError } from '../base/errors.js'
import { namesOf } from '../platform/certificate-names.js'
import type { TlsIdentity } from '../platform/tls.js'
import type { Log } from '../ports/log.js'

/** The first bytes of every HTTP/2 connection (RFC 9113 3.4). */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')
/** How long a connection may stay silent, or a TLS handshake last, before it is closed. */
const FIRST_BYTES_TIMEOUT_MS = 60_000
const HANDSHAKE_TIMEOUT_MS = 10_000

/** Where to listen: a TCP address or the path of a unix socket. */
export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }

/** Who takes a connection once its protocol is known. A missing one refuses the protocol. */
export interface ConnectionTargets {
  readonly http2?: (socket: Socket, head: Uint8Array) => void
  readonly http1?: (socket: Socket) => void
}

export interface ListenerOptions {
  readonly address: ListenAddress
  /** undefined = plain text. */
  readonly tls: TlsIdentity | undefined
  readonly targets: ConnectionTargets
  readonly log: Log
  /** What the log calls this side: `client` or `peer`. */
  readonly side: 'client' | 'peer'
  /** Looks at an accepted TLS client; a text refuses it. */
  readonly admit?: (socket: TLSSocket) => Promise<string | undefined>
  /** Default FIRST_BYTES_TIMEOUT_MS. */
  readonly firstBytesTimeoutMs?: number
  /** Default HANDSHAKE_TIMEOUT_MS. */
  readonly handshakeTimeoutMs?: number
}

/** One listening socket that serves gRPC and HTTP/1 together, told apart by first bytes or ALPN. */
export class Listener {
  readonly #options: ListenerOptions
  readonly #server: Server
  readonly #open = new Set<Socket>()

  constructor(options: ListenerOptions) {
    this.#options = options
    this.#server = options.tls === undefined ? this.#plainServer() : this.#tlsServer(options.tls)
  }

  /** Starts to accept. Rejects with the system's reason, e.g. address in use. */
  async listen(): Promise<void> {
    const { address } = this.#options
    await new Promise<void>((resolve, reject) => {
      const refuse = (error: NodeJS.ErrnoException): void => reject(bindError(address, error))
      this.#server.once('error', refuse)
      const done = (): void => {
        this.#server.off('error', refuse)
        this.#server.on('error', (error) =>
          this.#options.log.warn('listener failed', { error: error.message }),
        )
        resolve()
      }
      if (address.kind === 'tcp')
        this.#server.listen({ host: address.host, port: address.port }, done)
      else {
        removeStaleSocket(address.path)
        this.#server.listen(address.path, done)
      }
    })
    if (address.kind === 'unix') chmodSync(address.path, 0o600)
  }

  /** `host:port` actually bound (the port may have been 0), or the socket's path. */
  get boundAddress(): string {
    const address = this.#server.address() as AddressInfo | string | null
    if (address === null) return ''
    if (typeof address === 'string') return address
    return address.family === 'IPv6'
      ? `[${address.address}]:${address.port}`
      : `${address.address}:${address.port}`
  }

  /** Stops to accept; connections that are open stay. */
  stopAccepting(): void {
    this.#server.close()
  }

  /** Ends every connection that is still open. */
  destroyConnections(): void {
    for (const socket of this.#open) socket.destroy()
  }

  #plainServer(): Server {
    return createServer({ noDelay: true }, (socket) => {
      this.#track(socket)
      this.#sniff(socket)
    })
  }

  #tlsServer(identity: TlsIdentity): Server {
    const server = createTlsServer({
      ALPNProtocols: this.#options.targets.http2 === undefined ? ['http/1.1'] : ['h2', 'http/1.1'],
      requestCert: identity.asksForClientCertificate,
      rejectUnauthorized: identity.asksForClientCertificate,
      handshakeTimeout: this.#options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS,
      noDelay: true,
      ...identity.serverOptions(),
    })
    // Before the handshake of each connection: a certificate that was replaced on disk is used from
    // here on.
    let generation = identity.generation
    server.prependListener('connection', () => {
      const options = identity.serverOptions()
      if (identity.generation !== generation) server.setSecureContext(options)
      generation = identity.generation
    })
    server.on('tlsClientError', (error, socket) => {
      this.#options.log.warn(this.#rejected(), {
        'remote-addr': remoteOf(socket),
        error: error.message,
      })
      socket.destroy()
    })
    server.on('secureConnection', (socket) => {
      this.#track(socket)
      void this.#admitSecure(socket)
    })
    return server
  }

  #rejected(): string {
    return this.#options.side === 'client'
      ? 'rejected connection on client endpoint'
      : 'rejected connection on peer endpoint'
  }

  async #admitSecure(socket: TLSSocket): Promise<void> {
    const refusal = await this.#options.admit?.(socket)
    if (refusal !== undefined) {
      const names = namesOf(socket.getPeerCertificate())
      this.#options.log.warn(this.#rejected(), {
        'remote-addr': remoteOf(socket),
        'server-name': typeof socket.servername === 'string' ? socket.servername : '',
        'ip-addresses': names?.ipAddresses ?? [],
        'dns-names': names?.dnsNames ?? [],
        error: refusal,
      })
      socket.destroy()
      return
    }
    if (socket.alpnProtocol === 'h2') this.#give(socket, new Uint8Array(0))
    else this.#sniff(socket)
  }

  #track(socket: Socket): void {
    this.#open.add(socket)
    socket.once('close', () => this.#open.delete(socket))
    // A peer that vanishes is no news; whoever owns the connection sees its close.
    socket.on('error', () => socket.destroy())
  }

  /** Reads until the preface is complete or impossible. */
  #sniff(socket: Socket): void {
    let head: Buffer = Buffer.alloc(0)
    const timeoutMs = this.#options.firstBytesTimeoutMs ?? FIRST_BYTES_TIMEOUT_MS
    socket.setTimeout(timeoutMs, () => socket.destroy())
    const onData = (chunk: Buffer): void => {
      head = head.length === 0 ? chunk : Buffer.concat([head, chunk])
      const known = Math.min(head.length, PREFACE.length)
      const isHttp2 = head.compare(PREFACE, 0, known, 0, known) === 0
      if (isHttp2 && known < PREFACE.length) return
      socket.off('data', onData)
      socket.pause()
      socket.setTimeout(0)
      socket.removeAllListeners('timeout')
      if (isHttp2) this.#give(socket, head)
      else this.#giveHttp1(socket, head)
    }
    socket.on('data', onData)
  }

  #give(socket: Socket, head: Uint8Array): void {
    const { http2 } = this.#options.targets
    if (http2 === undefined) socket.destroy()
    else {
      http2(socket, head)
      socket.resume()
    }
  }

  #giveHttp1(socket: Socket, head: Buffer): void {
    const { http1 } = this.#options.targets
    if (http1 === undefined) {
      socket.destroy()
      return
    }
    socket.unshift(head)
    http1(socket)
    socket.resume()
  }
}

/** The system's reasons in the words that operators of etcd know. */
const BIND_REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'bind: address already in use',
  EADDRNOTAVAIL: 'bind: cannot assign requested address',
  EACCES: 'bind: permission denied',
}

export function bindError(address: ListenAddress, cause: NodeJS.ErrnoException): Error {
  const reason = BIND_REASONS[cause.code ?? '']
  if (reason === undefined) return cause
  const where =
    address.kind === 'tcp' ? `tcp ${address.host}:${address.port}` : `unix ${address.path}`
  return new Error(`listen ${where}: ${reason}`, { cause })
}

const remoteOf = (socket: Socket): string =>
  `${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`

/**
 * A socket file left by a process that was killed would make listen fail; a live one makes it fail
 * below.
 */
function removeStaleSocket(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw DaemonError.from(error)
  }
}
