import { connect, createServer, type Server, type Socket } from 'node:net'
import { pause } from '../interop/support/until.js'

/** What happens to bytes on their way from one member to another. */
export type Flow =
  | { readonly kind: 'pass' }
  /** Nothing arrives until it is over, as when packets are lost: what was sent comes then. */
  | { readonly kind: 'hold' }
  /** Connections between the two are closed, and refused. */
  | { readonly kind: 'cut' }
  | { readonly kind: 'delay'; readonly ms: number }
  | { readonly kind: 'slow'; readonly bytesPerSecond: number }

/** A header that every request between members has; in hexadecimal. */
const SENDER = /^x-server-from: *([0-9a-f]+)\r$/im
/** Who dials is known after so many bytes, or not at all. */
const HEAD_BYTES_MAX = 8192
/** How long one look at a flow that is held lasts, and how slow bytes are portioned, milliseconds. */
const LOOK_MS = 20
const PASS: Flow = { kind: 'pass' }

/**
 * The network between members: each advertises a port here, behind which its own is. A request says in its header who
 * sends it, so each direction between each pair can be disturbed alone, whoever dialled.
 */
export class PeerProxy {
  readonly #servers: Server[] = []
  readonly #connections = new Set<Connection>()
  /** By `from>to`, ids in hexadecimal. */
  readonly #flows = new Map<string, Flow>()
  /** Ids of members by their names; a member that was added again has a new one. */
  readonly #ids = new Map<string, string>()

  /** Opens a port that leads to a member's own. */
  async open(name: string, ports: Readonly<{ listen: number; target: number }>): Promise<void> {
    const server = createServer((socket) => {
      const connection = new Connection(socket, {
        target: ports.target,
        flow: (from, to) => this.#flowBetween(from, to),
        targetName: name,
        onEnd: () => this.#connections.delete(connection),
      })
      this.#connections.add(connection)
    })
    this.#servers.push(server)
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(ports.listen, '127.0.0.1', resolve)
    })
  }

  /** Says which id a member has now. */
  name(name: string, id: string): void {
    this.#ids.set(id, name)
  }

  /** Disturbs what `from` sends to `to`, by their names. */
  set(from: string, to: string, flow: Flow): void {
    this.#flows.set(`${from}>${to}`, flow)
    if (flow.kind === 'cut') for (const connection of this.#connections) connection.maybeCut()
  }

  /** Everything passes again. */
  heal(): void {
    this.#flows.clear()
  }

  /** Both are a member's name, or the id in a request, which is looked up. */
  #flowBetween(from: string, to: string): Flow {
    const nameOf = (one: string): string => this.#ids.get(one) ?? one
    return this.#flows.get(`${nameOf(from)}>${nameOf(to)}`) ?? PASS
  }

  close(): void {
    for (const server of this.#servers) server.close()
    for (const connection of this.#connections) connection.destroy()
  }
}

interface ConnectionOptions {
  readonly target: number
  readonly targetName: string
  readonly flow: (from: string, to: string) => Flow
  readonly onEnd: () => void
}

class Connection {
  readonly #options: ConnectionOptions
  readonly #inside: Socket
  #outside: Socket | undefined
  #sender = ''
  #head: Buffer = Buffer.alloc(0)
  #isOver = false

  constructor(inside: Socket, options: ConnectionOptions) {
    this.#inside = inside
    this.#options = options
    inside.setNoDelay(true)
    this.#watch(inside)
    const onHead = (bytes: Buffer): void => {
      this.#head = Buffer.concat([this.#head, bytes])
      const text = this.#head.toString('latin1')
      if (!text.includes('\r\n\r\n') && this.#head.length < HEAD_BYTES_MAX) return
      inside.off('data', onHead)
      inside.pause()
      this.#sender = SENDER.exec(text)?.[1] ?? ''
      this.#connect()
    }
    inside.on('data', onHead)
  }

  #watch(socket: Socket): void {
    socket.on('error', () => this.destroy())
    socket.on('close', () => this.destroy())
  }

  #connect(): void {
    if (this.maybeCut()) return
    const outside = connect(this.#options.target, '127.0.0.1')
    outside.setNoDelay(true)
    this.#outside = outside
    this.#watch(outside)
    const { targetName } = this.#options
    void this.#carry(this.#inside, outside, () => this.#options.flow(this.#sender, targetName))
    void this.#carry(outside, this.#inside, () => this.#options.flow(targetName, this.#sender))
  }

  /** Closes the connection when either direction is cut; says whether it did. */
  maybeCut(): boolean {
    const { targetName, flow } = this.#options
    const flows = [flow(this.#sender, targetName), flow(targetName, this.#sender)]
    if (!flows.some(({ kind }) => kind === 'cut')) return false
    this.destroy()
    return true
  }

  async #carry(from: Socket, to: Socket, flow: () => Flow): Promise<void> {
    const first = from === this.#inside ? this.#head : Buffer.alloc(0)
    if (first.length > 0) await this.#pass(first, to, flow)
    try {
      for await (const bytes of from) {
        await this.#pass(bytes as Buffer, to, flow)
        if (this.#isOver) return
      }
    } catch {
      // The connection was lost, which is what this is about.
    }
    to.end()
  }

  async #pass(bytes: Buffer, to: Socket, flow: () => Flow): Promise<void> {
    let left = bytes
    while (left.length > 0 && !this.#isOver) {
      const now = flow()
      if (now.kind === 'hold') {
        await pause(LOOK_MS)
        continue
      }
      if (now.kind === 'delay') await pause(now.ms)
      const portion =
        now.kind === 'slow'
          ? Math.max(1, Math.floor((now.bytesPerSecond * LOOK_MS) / 1000))
          : left.length
      if (now.kind === 'slow') await pause(LOOK_MS)
      const hasRoom = to.write(left.subarray(0, portion))
      left = left.subarray(portion)
      if (!hasRoom && !this.#isOver) await this.#drained(to)
    }
  }

  #drained(socket: Socket): Promise<void> {
    return new Promise((resolve) => {
      const finish = (): void => {
        socket.off('drain', finish)
        socket.off('close', finish)
        resolve()
      }
      socket.on('drain', finish)
      socket.on('close', finish)
    })
  }

  destroy(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#inside.destroy()
    this.#outside?.destroy()
    this.#options.onEnd()
  }
}
