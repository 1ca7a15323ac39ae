import { Duplex } from 'node:stream'

/**
 * Bytes that one side may send before the other has read them; what is more waits in its writer.
 */
export const MEMORY_SOCKET_BYTES = 65_536

/** What a socket says about the client at its other end. */
export interface SocketOrigin {
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
  readonly encrypted?: boolean | undefined
}

/**
 * One end of a connection that never leaves the process, for Node's HTTP server and client. When
 * the client destroys its end, the server's is destroyed at once: a handler that waits is to know.
 * When the server does, the client reads what was said before: a refusal is written and the socket
 * destroyed in one breath. What is written to an end that is gone is dropped.
 */
export class MemorySocket extends Duplex {
  readonly remoteAddress: string | undefined
  readonly remotePort: number | undefined
  readonly encrypted: boolean
  /** The connection that this one stands for. */
  readonly origin: SocketOrigin
  readonly #side: 'client' | 'server'
  /** The other end; itself only within `createPair`. */
  #peer: MemorySocket = this
  /** Tells the other side that its last piece was read. */
  #taken: (() => void) | undefined
  #isEndReceived = false

  private constructor(side: 'client' | 'server', origin: SocketOrigin) {
    super({ highWaterMark: MEMORY_SOCKET_BYTES, allowHalfOpen: true })
    this.#side = side
    this.origin = origin
    this.remoteAddress = origin.remoteAddress
    this.remotePort = origin.remotePort
    this.encrypted = origin.encrypted === true
  }

  /** Two ends of one connection; both say that their client is `origin`. */
  static createPair(origin: SocketOrigin): Readonly<Record<'client' | 'server', MemorySocket>> {
    const client = new MemorySocket('client', origin)
    const server = new MemorySocket('server', origin)
    client.#peer = server
    server.#peer = client
    return { client, server }
  }

  override _read(): void {
    const taken = this.#taken
    this.#taken = undefined
    taken?.()
  }

  // Handed over after the caller's turn: what a reader throws must not look like the writer's
  // error.
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    process.nextTick(() => this.#peer.#receive(chunk, done))
  }

  override _final(done: () => void): void {
    process.nextTick(() => {
      this.#peer.#receiveEnd()
      done()
    })
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this._read()
    done(error)
    process.nextTick(() => this.#peer.#onPeerGone())
  }

  /** Ends this side, and both once everything is written. */
  destroySoon(): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', () => this.destroy())
  }

  /** Time limits are those of the connection that carries this one. */
  setTimeout(): this {
    return this
  }

  /** Nothing can be lost between two ends in one process. */
  setKeepAlive(): this {
    return this
  }

  /** Nothing is ever delayed. */
  setNoDelay(): this {
    return this
  }

  #receive(chunk: Buffer, done: () => void): void {
    if (this.destroyed || this.push(chunk)) done()
    else this.#taken = done
  }

  #receiveEnd(): void {
    if (!this.destroyed && !this.#isEndReceived) this.push(null)
    this.#isEndReceived = true
  }

  #onPeerGone(): void {
    if (this.destroyed) return
    if (this.#side === 'server' || this.readableEnded) {
      this.destroy()
      return
    }
    this.once('end', () => this.destroy())
    this.#receiveEnd()
  }
}
