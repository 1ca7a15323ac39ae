/** Several transports in one process, each with an HTTP server on a free port of its own. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { clusterId, type MemberId, memberId } from '../../src/base/ids.js'
import type { PeerObserver, PeerTransportOptions } from '../../src/peer/peer-context.js'
import { PeerTransport } from '../../src/peer/peer-transport.js'
import type { Log, LogFields } from '../../src/ports/log.js'
import type { PeerEvents } from '../../src/ports/peer-network.js'
import { type Encodable, Message } from './messages.js'

export const CLUSTER = clusterId(0xabcdef0123456789n)

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly message: string
  readonly fields: LogFields
}

export class MemoryLog implements Log {
  readonly isDebugEnabled = true
  readonly lines: LogLine[] = []
  #add(level: LogLine['level'], message: string, fields: LogFields = {}): void {
    this.lines.push({ level, message, fields })
  }
  debug(message: string, fields?: LogFields): void {
    this.#add('debug', message, fields)
  }
  info(message: string, fields?: LogFields): void {
    this.#add('info', message, fields)
  }
  warn(message: string, fields?: LogFields): void {
    this.#add('warn', message, fields)
  }
  error(message: string, fields?: LogFields): void {
    this.#add('error', message, fields)
  }
  has(message: string): boolean {
    return this.lines.some((line) => line.message === message)
  }
}

/** Remembers what the transport told. */
export class MemoryEvents implements PeerEvents {
  readonly delivered: Message[] = []
  readonly unreachables: MemberId[] = []
  readonly snapshots: ['finish' | 'failure', MemberId][] = []
  readonly removed = new Set<MemberId>()
  removals = 0
  onDeliver: (message: Message) => void = () => undefined
  onSnapshot: (message: Message, body: AsyncIterable<Uint8Array>) => Promise<void> = async () => {
    throw new Error('no snapshots here')
  }
  deliver(message: Message): void {
    this.delivered.push(message)
    this.onDeliver(message)
  }
  unreachable(id: MemberId): void {
    this.unreachables.push(id)
  }
  snapshotSent(id: MemberId, outcome: 'finish' | 'failure'): void {
    this.snapshots.push([outcome, id])
  }
  removedFromCluster(): void {
    this.removals++
  }
  isRemoved(id: MemberId): boolean {
    return this.removed.has(id)
  }
  isMember(): boolean {
    return true
  }
  receiveSnapshot(message: Message, body: AsyncIterable<Uint8Array>): Promise<void> {
    return this.onSnapshot(message, body)
  }
}

/** Observes nothing; tests replace what they look at. */
export const SILENT: PeerObserver = {
  sent: () => undefined,
  sendFailed: () => undefined,
  received: () => undefined,
  receiveFailed: () => undefined,
  roundTrip: () => undefined,
  activeChanged: () => undefined,
  snapshotSendStarted: () => undefined,
  snapshotSendEnded: () => undefined,
  snapshotReceiveStarted: () => undefined,
  snapshotReceiveEnded: () => undefined,
  appendSent: () => undefined,
  appendFailed: () => undefined,
  appendReceived: () => undefined,
}

/** Quick periods, so that nothing here waits for seconds. */
export const QUICK = {
  streamIdleMs: 2000,
  streamStuckMs: 2000,
  linkHeartbeatMs: 60,
  dialRetryMs: 10,
  probeMs: 40,
  probeReportUnhealthyMs: 100,
  probeReportHealthyMs: 100,
  lingerMs: 200,
} as const

export interface TestMember {
  readonly id: MemberId
  readonly events: MemoryEvents
  readonly log: MemoryLog
  readonly transport: PeerTransport
  readonly server: Server
  readonly url: string
  readonly port: number
  stop(): Promise<void>
}

export const clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
}

export async function startMember(
  number: number,
  options: Partial<PeerTransportOptions> & { port?: number; observer?: PeerObserver } = {},
): Promise<TestMember> {
  const { port: fixedPort = 0, ...rest } = options
  const id = options.id ?? memberId(BigInt(number))
  const events = new MemoryEvents()
  const log = new MemoryLog()
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(fixedPort, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}`
  const transport = new PeerTransport({
    id,
    clusterId: CLUSTER,
    ownUrls: () => [url],
    events,
    log,
    clock,
    dialTimeoutMs: 1000,
    timings: QUICK,
    ...rest,
  })
  server.on('request', (request, response) => {
    if (transport.handlePeerRequest(request, response)) return
    response.writeHead(404)
    response.end('404 page not found\n')
  })
  const stop = (): Promise<void> => {
    transport.stop()
    return new Promise((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  }
  return { id, events, log, transport, server, url, port, stop }
}

/** Members 1 to `count`, connected with each other by all four streams of each pair. */
export async function startCluster(
  count: number,
  options: Partial<PeerTransportOptions> = {},
): Promise<TestMember[]> {
  const members: TestMember[] = []
  for (let number = 1; number <= count; number++) {
    members.push(await startMember(number, options))
  }
  for (const member of members) {
    for (const other of members) {
      if (other !== member) member.transport.addPeer(other.id, [other.url])
    }
  }
  const streams = 2 * (count - 1)
  await until(() => members.every((member) => attachedStreams(member) >= streams))
  return members
}

/** How many streams to write were ever attached. */
export function attachedStreams(member: TestMember): number {
  return member.log.lines.filter(
    ({ message, fields }) =>
      message === 'established TCP streaming connection with remote peer' &&
      'stream-writer-type' in fields,
  ).length
}

export async function until(condition: () => boolean, limitMs = 15_000): Promise<void> {
  const end = performance.now() + limitMs
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not reached in ${limitMs} ms: ${condition}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

export function message(init: Encodable): Message {
  return Message.create(init)
}
