import type { MemberId } from '../../../src/base/ids.js'
import { copyToSlab } from '../../../src/base/slab.js'
import type { PeerEvents, PeerNetwork, SnapshotBody } from '../../../src/ports/peer-network.js'
import { Message } from '../../../src/wire/raftpb.js'
import type { NetworkOptions } from '../options.js'
import type { EventQueue } from './event-queue.js'
import type { Mark } from './marks.js'
import type { Prng } from './prng.js'
import type { Trace } from './trace.js'

/** A machine as the network sees it. */
export interface Host {
  readonly place: number
  /** Runs a task on the machine: not at all when it was down or became another process, later when it is paused. */
  readonly run: (incarnation: number, task: () => void) => void
  readonly incarnation: number
  readonly isUp: boolean
  readonly upSinceUs: number
  readonly memberId: MemberId | undefined
  readonly peerUrls: readonly string[]
  readonly events: PeerEvents | undefined
  readonly nowMs: () => number
}

/** What waited on a clogged link comes within, microseconds. */
const CLOG_RELEASE_US = 10_000
/** How long after a loss the sender hears of it, microseconds. */
const REPORT_DELAY_US = 1000
/** Messages whose doubling is outside the fault model: a connection delivers what it carries once. */
const NEVER_DOUBLED = new Set<Message['type']>(['MsgProp', 'MsgTransferLeader', 'MsgTimeoutNow'])

interface Link {
  underWay: number
  lastArrivalUs: number
  isCut: boolean
  healedUs: number
  /** What is sent before arrives afterwards. */
  cloggedUntilUs: number
  /** Counts the connections that were given up. */
  connection: number
}

/** What is wrong with a machine's door to the network, whatever its links are. */
export interface HostLimits {
  /** Nothing reaches it. */
  readonly isDeaf: boolean
  /** Nothing leaves it. */
  readonly isMute: boolean
  /** What each message from and to it takes longer, microseconds. */
  readonly delayUs: number
}

/** All links between machines: they delay, lose, repeat, reorder, and are cut, in one direction or both. */
export class SimulatedNetwork {
  readonly #queue: EventQueue
  readonly #prng: Prng
  readonly #trace: Trace
  readonly #hosts: Host[] = []
  /** By the places of both ends. */
  readonly #links: (Link | undefined)[][] = []
  /** By place. */
  readonly limits = new Map<number, HostLimits>()
  options: NetworkOptions
  readonly marks = new Map<Mark, number>()
  deliveredCount = 0
  /** Snapshots on their way. */
  streamCount = 0
  /** Sees what leaves each process, lost or not. */
  onSent: (from: Host, message: Message) => void = () => undefined
  /** Sees each chunk of a snapshot's body as it leaves, and who sends it under which message. */
  onSnapshotChunk: (from: Host, message: Message, chunk: Uint8Array) => void = () => undefined

  readonly #linkMessagesMax: number
  readonly #stallPrng: Prng

  constructor(
    queue: EventQueue,
    prng: Prng,
    trace: Trace,
    options: NetworkOptions,
    linkMessagesMax: number,
  ) {
    this.#linkMessagesMax = linkMessagesMax
    this.#queue = queue
    this.#prng = prng
    this.#stallPrng = prng.fork('stall')
    this.#trace = trace
    this.options = options
  }

  add(host: Host): void {
    this.#hosts.push(host)
  }

  cut(from: number, to: number): void {
    this.#link(from, to).isCut = true
  }

  /** Everything on a link stands still for so long. */
  clog(from: number, to: number, forUs: number): void {
    const link = this.#link(from, to)
    link.cloggedUntilUs = Math.max(link.cloggedUntilUs, this.#queue.nowUs + forUs)
  }

  isCut(from: number, to: number): boolean {
    return this.#isShut(this.#link(from, to), from, to)
  }

  #isShut({ isCut }: Link, from: number, to: number): boolean {
    if (isCut || this.limits.size === 0) return isCut
    return this.limits.get(from)?.isMute === true || this.limits.get(to)?.isDeaf === true
  }

  limit(place: number, limits: HostLimits): void {
    this.limits.set(place, limits)
  }

  /**
   * What is clogged moves again, by another connection: what waits on the one that stood still is
   * lost. Else an ordered link would stand still for as long behind it.
   */
  unclogAll(): void {
    for (const link of this.#links.flat()) {
      if (link === undefined || link.cloggedUntilUs <= this.#queue.nowUs) continue
      link.cloggedUntilUs = 0
      link.lastArrivalUs = 0
      link.underWay = 0
      link.connection++
    }
  }

  healAll(): void {
    for (const link of this.#links.flat()) {
      if (link === undefined || !link.isCut) continue
      link.isCut = false
      link.healedUs = this.#queue.nowUs
    }
  }

  /** Whether both machines hear each other. */
  isConnected(a: number, b: number): boolean {
    return !this.isCut(a, b) && !this.isCut(b, a)
  }

  hostOf(id: MemberId): Host | undefined {
    for (const host of this.#hosts) if (host.memberId === id) return host
    return undefined
  }

  hostAt(urls: readonly string[]): Host | undefined {
    return this.#hosts.find((host) => host.peerUrls.some((url) => urls.includes(url)))
  }

  /** The network as one process uses it. */
  attach(host: Host, events: PeerEvents): PeerNetwork {
    return new Attachment(this, host, events)
  }

  transmit(from: Host, message: Message): void {
    this.onSent(from, message)
    const to = this.hostOf(message.to)
    if (to === undefined) return
    const link = this.#link(from.place, to.place)
    const isOverflow = link.underWay >= this.#linkMessagesMax
    if (isOverflow) this.#mark('overflow')
    const isShut = this.#isShut(link, from.place, to.place)
    if (isShut || isOverflow || this.#prng.perMille(this.options.lossPerMille)) {
      this.#mark('lost')
      this.#maybeReport(from, message.to)
      return
    }
    const bytes = Message.encode(message)
    this.#carry(from, to, link, bytes)
    if (NEVER_DOUBLED.has(message.type)) return
    if (!this.#prng.perMille(this.options.duplicatePerMille)) return
    this.#mark('doubled')
    // Nobody may see in one what the other's receiver did to its bytes.
    this.#carry(from, to, link, copyToSlab(bytes))
  }

  /** How long one hop takes now. */
  delayUs(): number {
    return 50 + this.#prng.skewed(this.options.delayMeanUs)
  }

  /** How long a part of a snapshot stands still: mostly not at all, seldom for longer than it is waited for. */
  stallUs(): number {
    if (!this.#stallPrng.perMille(this.options.tornSnapshotPerMille / 10)) return 0
    this.#mark('snapshot-stalled')
    return this.#stallPrng.skewed(SNAPSHOT_STALL_US)
  }

  chance(perMille: number): boolean {
    return this.#prng.perMille(perMille)
  }

  mark(name: Mark): void {
    this.#mark(name)
  }

  after(delayUs: number, task: () => void): void {
    this.#queue.after(delayUs, task)
  }

  activeSinceMs(from: Host, id: MemberId): number | undefined {
    const to = this.hostOf(id)
    if (to === undefined || !to.isUp || !this.isConnected(from.place, to.place)) return undefined
    const sinceUs = Math.max(
      to.upSinceUs,
      from.upSinceUs,
      this.#link(from.place, to.place).healedUs,
      this.#link(to.place, from.place).healedUs,
    )
    return from.nowMs() - (this.#queue.nowUs - sinceUs) / 1000
  }

  #carry(from: Host, to: Host, link: Link, bytes: Uint8Array): void {
    link.underWay++
    let arrivalUs = this.#queue.nowUs + this.delayUs() + this.#slownessUs(from.place, to.place)
    if (link.cloggedUntilUs > arrivalUs) {
      this.#mark('clogged')
      arrivalUs = link.cloggedUntilUs + this.#prng.below(CLOG_RELEASE_US)
    }
    if (!this.options.reorders) arrivalUs = Math.max(arrivalUs, link.lastArrivalUs + 1)
    else if (arrivalUs < link.lastArrivalUs) this.#mark('overtaken')
    link.lastArrivalUs = Math.max(link.lastArrivalUs, arrivalUs)
    const fromIncarnation = from.incarnation
    const { connection } = link
    this.#queue.after(arrivalUs - this.#queue.nowUs, () => {
      if (link.connection !== connection) return
      link.underWay--
      if (this.#isShut(link, from.place, to.place)) {
        this.#maybeReport(from, to.memberId)
        return
      }
      if (!to.isUp) {
        this.#maybeReport(from, to.memberId)
        return
      }
      to.run(to.incarnation, () => this.#deliver(from, fromIncarnation, to, bytes))
    })
  }

  #slownessUs(from: number, to: number): number {
    if (this.limits.size === 0) return 0
    return (this.limits.get(from)?.delayUs ?? 0) + (this.limits.get(to)?.delayUs ?? 0)
  }

  #deliver(from: Host, fromIncarnation: number, to: Host, bytes: Uint8Array): void {
    const { events } = to
    const message = Message.decode(bytes)
    if (events === undefined || message.to !== to.memberId) return
    if (events.isRemoved(message.from)) {
      // The message may be one that was passed on: who passed it is not told of another's removal.
      if (message.from !== from.memberId) return
      this.#queue.after(this.delayUs(), () =>
        from.run(fromIncarnation, () => from.events?.removedFromCluster()),
      )
      return
    }
    this.deliveredCount++
    this.#trace.event(to.place, message.type, from.place, message.index, message.term)
    events.deliver(message)
  }

  #maybeReport(from: Host, to: MemberId | undefined): void {
    if (to === undefined || !this.#prng.perMille(this.options.reportPerMille)) return
    const { incarnation } = from
    this.#queue.after(REPORT_DELAY_US, () =>
      from.run(incarnation, () => from.events?.unreachable(to)),
    )
  }

  #link(from: number, to: number): Link {
    let links = this.#links[from]
    if (links === undefined) {
      links = []
      this.#links[from] = links
    }
    let link = links[to]
    if (link === undefined) {
      link = {
        underWay: 0,
        lastArrivalUs: 0,
        isCut: false,
        healedUs: 0,
        cloggedUntilUs: 0,
        connection: 0,
      }
      links[to] = link
    }
    return link
  }

  #mark(name: Mark): void {
    this.marks.set(name, (this.marks.get(name) ?? 0) + 1)
  }
}

/** Snapshots that one process sends at a time, as in production. */
const SNAPSHOTS_MAX = 16
/** Longest wait for a chunk before a stream of a snapshot is given up, microseconds. */
const SNAPSHOT_STALL_US = 5_000_000

class Attachment implements PeerNetwork {
  readonly #network: SimulatedNetwork
  readonly #host: Host
  readonly #events: PeerEvents
  readonly #peers = new Set<MemberId>()
  #snapshotsUnderWay = 0

  constructor(network: SimulatedNetwork, host: Host, events: PeerEvents) {
    this.#network = network
    this.#host = host
    this.#events = events
  }

  /** Nothing waits here: each message is on its way at once. */
  flush(): void {}

  send(messages: readonly Message[]): void {
    // Who is no peer yet is answered all the same: the real transport learns of senders as remotes.
    for (const message of messages) this.#network.transmit(this.#host, message)
  }

  sendSnapshot(message: Message, body: SnapshotBody): void {
    if (!this.#peers.has(message.to) || this.#snapshotsUnderWay >= SNAPSHOTS_MAX) {
      body.close()
      this.#events.snapshotSent(message.to, 'failure')
      return
    }
    this.#snapshotsUnderWay++
    const stream = new SnapshotStream(this.#network, this.#host, message, body)
    const { incarnation } = this.#host
    stream.run((outcome) => {
      this.#snapshotsUnderWay--
      this.#host.run(incarnation, () => {
        body.close()
        if (outcome === 'failure') this.#events.unreachable(message.to)
        this.#events.snapshotSent(message.to, outcome)
      })
    })
  }

  addPeer(id: MemberId): void {
    if (id !== this.#host.memberId) this.#peers.add(id)
  }

  addRemote(): void {}

  updatePeer(): void {}

  removePeer(id: MemberId): void {
    this.#peers.delete(id)
  }

  activeSinceMs(id: MemberId): number | undefined {
    return this.#peers.has(id) ? this.#network.activeSinceMs(this.#host, id) : undefined
  }
}

/** One snapshot on its way, chunk by chunk; it may stall, tear, or arrive when nobody wants it any more. */
class SnapshotStream {
  readonly #network: SimulatedNetwork
  readonly #from: Host
  readonly #message: Message
  readonly #body: SnapshotBody
  readonly #chunks: (Uint8Array | 'end' | 'torn')[] = []
  #wake: (() => void) | undefined
  #isOver = false

  constructor(network: SimulatedNetwork, from: Host, message: Message, body: SnapshotBody) {
    this.#network = network
    this.#from = from
    this.#message = message
    this.#body = body
  }

  run(done: (outcome: 'finish' | 'failure') => void): void {
    const to = this.#network.hostOf(this.#message.to)
    this.#network.streamCount++
    const finish = (outcome: 'finish' | 'failure'): void => {
      if (this.#isOver) return
      this.#isOver = true
      this.#network.streamCount--
      this.#network.mark(outcome === 'finish' ? 'snapshot-sent' : 'snapshot-failed')
      this.#network.after(this.#network.delayUs(), () => done(outcome))
    }
    const events = to?.events
    if (to === undefined || events === undefined || !to.isUp || !this.#isOpen(to)) {
      finish('failure')
      return
    }
    const { incarnation } = to
    const sender = this.#from.incarnation
    this.#watch(to, incarnation, sender, finish)
    const bytes = Message.encode(this.#message)
    to.run(incarnation, () => {
      const message = Message.decode(bytes)
      if (events.isRemoved(message.from)) {
        finish('failure')
        return
      }
      events.receiveSnapshot(message, this.#received()).then(
        () => {
          to.run(incarnation, () => {
            events.deliver(message)
            finish('finish')
          })
        },
        () => finish('failure'),
      )
    })
    this.#pull(to, sender)
  }

  /** A connection that a machine or a cut has ended is noticed, sooner or later. */
  #watch(to: Host, incarnation: number, sender: number, finish: (o: 'failure') => void): void {
    let quietUs = 0
    const look = (): void => {
      if (this.#isOver) return
      quietUs += 500_000
      const isAlive =
        to.isUp &&
        to.incarnation === incarnation &&
        this.#from.isUp &&
        this.#from.incarnation === sender &&
        this.#isOpen(to)
      if (!isAlive || quietUs > 4 * SNAPSHOT_STALL_US) {
        this.#give('torn')
        finish('failure')
        return
      }
      this.#network.after(500_000, look)
    }
    this.#network.after(500_000, look)
  }

  #isOpen(to: Host): boolean {
    return this.#network.isConnected(this.#from.place, to.place)
  }

  #pull(to: Host, sender: number): void {
    const isTorn = this.#network.chance(this.#network.options.tornSnapshotPerMille)
    let count = 0
    const next = (): void => {
      if (this.#isOver || this.#from.incarnation !== sender || !this.#isOpen(to)) return
      this.#body.next().then(
        (chunk) => {
          if (chunk !== undefined) this.#network.onSnapshotChunk(this.#from, this.#message, chunk)
          const isEnd = chunk === undefined
          const given = isTorn && (isEnd || ++count > 2) ? 'torn' : (chunk ?? 'end')
          this.#network.after(this.#network.delayUs() + this.#network.stallUs(), () => {
            this.#give(given)
            if (!isEnd && given !== 'torn') next()
          })
        },
        () => this.#give('torn'),
      )
    }
    next()
  }

  #give(chunk: Uint8Array | 'end' | 'torn'): void {
    this.#chunks.push(chunk)
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }

  async *#received(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const chunk = this.#chunks.shift()
      if (chunk === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
        continue
      }
      if (chunk === 'end') return
      if (chunk === 'torn') throw new Error('the stream of a snapshot was torn')
      yield chunk.slice()
    }
  }
}
