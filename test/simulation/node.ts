import type { ClusterId, MemberId } from '../../src/base/ids.js'
import { memberAttributesPath } from '../../src/base/v2-paths.js'
import {
  beginCluster,
  isBlank,
  joinCluster,
  type LogPlace,
  restart,
  type StartPoint,
} from '../../src/daemon/bootstrap.js'
import { composeMember } from '../../src/daemon/compose-member.js'
import { makeDurableDirectory } from '../../src/daemon/durable-directory.js'
import type { Member } from '../../src/member/member.js'
import type { MemberLog } from '../../src/member/member-parts.js'
import type { MemberSettings } from '../../src/member/member-settings.js'
import { type Member as ClusterMember, encodeAttributes } from '../../src/membership/member.js'
import type { Membership } from '../../src/membership/membership.js'
import type { Scheduler } from '../../src/ports/clock.js'
import type { Log } from '../../src/ports/log.js'
import type { PeerEvents } from '../../src/ports/peer-network.js'
import type { MemoryStorage } from '../../src/raft/memory-storage.js'
import type { RawNode } from '../../src/raft/raw-node.js'
import { SnapshotError } from '../../src/snapshot/snapshot-error.js'
import { SnapshotFiles } from '../../src/snapshot/snapshot-files.js'
import { WalError } from '../../src/wal/wal-error.js'
import { simulatedLeaderCalls } from './leader-calls.js'
import type { SimulationOptions } from './options.js'
import { SimulatedPanic, type SimulatedSeam } from './simulated-seam.js'
import { SimulatedClock } from './world/clock.js'
import { SimulatedDisk } from './world/disk.js'
import { SimulatedEngines } from './world/engine.js'
import type { Host, SimulatedNetwork } from './world/network.js'
import type { Prng } from './world/prng.js'
import type { World } from './world/world.js'

export const DATA_DIRECTORY = '/data/member'
/** What a turn of the event loop takes, microseconds. */
const TURN_US = 10
/** How long a failed process goes on before it is gone, microseconds. */
const DYING_US = 5000

/** Between two attempts of a member to tell its name, microseconds. */
const PUBLISH_RETRY_US = 100_000

/** How a process begins. */
export type Beginning =
  | { readonly kind: 'begin'; readonly membership: Membership; readonly id: MemberId }
  | {
      readonly kind: 'join'
      readonly id: MemberId
      readonly clusterId: ClusterId
      readonly remotes: readonly ClusterMember[]
    }
  | { readonly kind: 'restart' }

/** What stands between a member and its parts: checkers look, known bugs meddle. */
export interface NodeAdapter {
  readonly node?: (place: SimulatedNode, node: RawNode) => RawNode
  readonly log?: (place: SimulatedNode, log: MemberLog) => MemberLog
  readonly member?: (place: SimulatedNode, member: Member) => void
}

export interface NodeContext {
  readonly world: World
  readonly network: SimulatedNetwork
  readonly options: SimulationOptions
  readonly adapters: readonly NodeAdapter[]
  /** Called after each event of a node that is up. */
  readonly afterEvent: (node: SimulatedNode) => void
  /** The process ended by itself. */
  readonly onEnded: (node: SimulatedNode, reason: EndReason, message: string) => void
  readonly seam: SimulatedSeam
}

/** Why a process is no more, without anybody having ended it. */
export type EndReason = 'failed' | 'removed' | 'panicked' | 'refused'

type State = 'down' | 'booting' | 'up'

/** One machine: its disk, its clock, and the process on it, which comes and goes. */
export class SimulatedNode implements Host {
  readonly place: number
  readonly name: string
  readonly peerUrls: readonly string[]
  readonly disk: SimulatedDisk
  readonly engines: SimulatedEngines
  readonly clock: SimulatedClock
  readonly prng: Prng
  readonly #context: NodeContext
  incarnation = 0
  upSinceUs = 0
  memberId: MemberId | undefined
  /** How it began the first time: tried again as long as nothing of it is on the disk. */
  beginning: Beginning | undefined
  member: Member | undefined
  storage: MemoryStorage | undefined
  events: PeerEvents | undefined
  /** The core of the process that is up, for looking at only. */
  raft: RawNode | undefined
  /** The process said that it cannot go on. */
  isDying = false
  /** Disk faults were injected into this process: it may stop. */
  mayFail = false
  /** Something on its disk was damaged: it may refuse to start. */
  isDamaged = false
  /** It refused to start: only replacing it helps. */
  isRuined = false
  /** The member was removed on purpose; its process may end. */
  mayBeRemoved = false
  #state: State = 'down'
  #isPaused = false
  #held: (() => void)[] = []
  readonly #onDeath = new Set<() => void>()

  constructor(place: number, context: NodeContext) {
    const { world, options } = context
    this.place = place
    this.name = `m${place}`
    this.peerUrls = [`http://m${place}:2380`]
    this.#context = context
    this.prng = world.prng.fork(`node/${place}`)
    const clockPrng = world.prng.fork(`clock/${place}`)
    const { driftPpmMax, creepUs } = options.clocks
    this.clock = new SimulatedClock(() => world.nowUs, {
      driftPpm: clockPrng.between(-driftPpmMax, driftPpmMax),
      offsetMs: clockPrng.below(1_000_000),
      creepUs,
      wall: options.world.wall,
    })
    if (options.world.wall !== 'steady') world.mark(`clock-${options.world.wall}`)
    const diskPrng = world.prng.fork(`disk/${place}`)
    const { latencyMeanUs, stallPerMille } = options.disk
    const latencyUs = (): number => {
      if (!diskPrng.perMille(stallPerMille)) return 20 + diskPrng.skewed(latencyMeanUs)
      world.mark('disk-stall')
      return diskPrng.between(100_000, 3_000_000)
    }
    const complete = (delayUs: number, task: () => void): void => {
      this.defer(delayUs, task)
    }
    this.disk = new SimulatedDisk({ latencyUs, complete }, diskPrng)
    const enginePrng = world.prng.fork(`engine/${place}`)
    const threadPrng = world.prng.fork(`engine-thread/${place}`)
    this.engines = new SimulatedEngines(
      (task) => this.defer(TURN_US + enginePrng.skewed(latencyMeanUs / 2), task),
      () => threadPrng.perMille(500),
    )
  }

  get isUp(): boolean {
    return this.#state === 'up'
  }

  get isBooting(): boolean {
    return this.#state === 'booting'
  }

  get isDown(): boolean {
    return this.#state === 'down'
  }

  get isPaused(): boolean {
    return this.#isPaused
  }

  /** A received snapshot is being installed. */
  get isReplacingState(): boolean {
    return this.isUp && this.member?.isServing === false
  }

  nowMs = (): number => this.clock.monotonicMs()

  /** Runs a task on this process: later when it is paused, never when it is gone. */
  run(incarnation: number, task: () => void): void {
    if (incarnation !== this.incarnation || this.#state === 'down') return
    if (this.#isPaused) {
      this.#held.push(() => this.run(incarnation, task))
      return
    }
    const { seam } = this.#context
    seam.isRunning = true
    try {
      task()
    } catch (error) {
      if (error instanceof SimulatedPanic) this.#panicked(error)
      else this.#failed(error)
      return
    } finally {
      seam.isRunning = false
    }
    if (this.isUp) this.#context.afterEvent(this)
  }

  defer(delayUs: number, task: () => void): () => void {
    const { incarnation } = this
    return this.#context.world.queue.after(delayUs, () => this.run(incarnation, task))
  }

  /** Runs `task` when the process ends; the result takes it back. */
  onDeath(task: () => void): () => void {
    this.#onDeath.add(task)
    return () => this.#onDeath.delete(task)
  }

  boot(beginning: Beginning): void {
    if (this.#state !== 'down') return
    this.#state = 'booting'
    this.incarnation++
    const { incarnation } = this
    if (beginning.kind !== 'restart') this.beginning = beginning
    this.isDying = false
    this.mayFail = this.disk.isFull || this.disk.failsNextWrite || this.engines.failsNextWrite
    this.#context.world.trace.event(this.place, `boot-${beginning.kind}`, incarnation)
    this.#boot(beginning, incarnation).catch((error: unknown) => {
      if (incarnation === this.incarnation) this.#failed(error)
    })
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    const held = this.#held
    this.#held = []
    for (const task of held) this.#context.world.queue.after(0, task)
  }

  /** The process ends; with `powerLoss` the machine does. */
  kill(kind: 'crash' | 'power-loss'): void {
    if (this.#state === 'down' && kind === 'crash') return
    this.#context.world.trace.event(this.place, kind, this.incarnation)
    this.#state = 'down'
    this.incarnation++
    this.#isPaused = false
    this.#held = []
    this.member = undefined
    this.storage = undefined
    this.raft = undefined
    this.events = undefined
    if (kind === 'crash' && !this.disk.isDishonest) {
      this.disk.crash()
      this.engines.crash()
    } else {
      this.disk.powerLoss()
      this.engines.powerLoss((count) => this.prng.below(count + 1))
    }
    const tasks = [...this.#onDeath]
    this.#onDeath.clear()
    for (const task of tasks) task()
  }

  /** The machine is replaced by an empty one. */
  wipe(): void {
    this.kill('power-loss')
    this.disk.wipe()
    this.engines.wipe()
    this.memberId = undefined
    this.isDamaged = false
    this.isRuined = false
  }

  /** Where the log is. */
  get logPlace(): LogPlace {
    const { options } = this.#context
    const log = this.#log()
    return {
      disk: this.disk,
      walOptions: {
        disk: this.disk,
        directory: `${DATA_DIRECTORY}/wal`,
        segmentBytes: options.member.walSegmentBytes,
        log,
      },
      snapshots: new SnapshotFiles({ disk: this.disk, directory: `${DATA_DIRECTORY}/snap`, log }),
      log,
    }
  }

  async #boot(beginning: Beginning, incarnation: number): Promise<void> {
    const place = this.logPlace
    makeDurableDirectory(this.disk, `${DATA_DIRECTORY}/snap`)
    place.snapshots.prepare()
    const start = await this.#startPoint(beginning, place)
    const { member } = await this.#compose(start, place)
    if (incarnation !== this.incarnation) return
    this.member = member
    this.storage = start.storage
    this.memberId = start.id
    this.#state = 'up'
    this.upSinceUs = this.#context.world.nowUs
    for (const adapter of this.#context.adapters) adapter.member?.(this, member)
    this.#context.world.trace.event(this.place, 'up', incarnation, member.appliedIndex)
    this.run(incarnation, () => {
      this.#every(member.settings.tickMs, () => member.tick())
      member.start()
      if (start.isAlone) this.defer(TURN_US, () => member.campaignWhenAlone())
      this.#publish(member)
    })
  }

  /** Members without a published name do not count as started. */
  #publish(member: Member): void {
    const attributes = encodeAttributes({
      name: this.name,
      clientUrls: [`http://${this.name}:2379`],
    })
    member.publish(attributes, memberAttributesPath(member.id), (outcome) => {
      if (outcome.kind === 'failed') this.defer(PUBLISH_RETRY_US, () => this.#publish(member))
    })
  }

  async #startPoint(beginning: Beginning, place: LogPlace): Promise<StartPoint> {
    switch (beginning.kind) {
      case 'begin':
        return beginCluster(place, beginning.membership, beginning.id)
      case 'join':
        return joinCluster(place, beginning)
      case 'restart': {
        const start = restart(place)
        const { beginning: first } = this
        return first?.kind === 'begin' && isBlank(start)
          ? beginCluster(place, first.membership, first.id, start.wal)
          : start
      }
    }
  }

  #compose(start: StartPoint, place: LogPlace): Promise<{ readonly member: Member }> {
    const { world, network, options, adapters } = this.#context
    const { member: drawn } = options
    const { incarnation } = this
    const electionTimeoutMs = drawn.tickMs * drawn.electionTicks
    const settings: MemberSettings = {
      tickMs: drawn.tickMs,
      electionTicks: drawn.electionTicks,
      electionTimeoutMs,
      snapshotCount: drawn.snapshotCount,
      catchUpEntries: drawn.catchUpEntries,
      cutSlackEntries: drawn.cutSlackEntries,
      requestBytesMax: 1_572_864,
      quotaBytes: options.world.quotaBytes || Number.POSITIVE_INFINITY,
      strictReconfigCheck: true,
      backendBatchIntervalMs: drawn.backendBatchIntervalMs,
      compactionBatchLimit: drawn.compactionBatchLimit,
      compactionSleepMs: drawn.compactionSleepMs,
      warningApplyMs: 100,
      leaseCheckpoints: drawn.leaseCheckpoints,
      leaseCheckpointsPersist: drawn.leaseCheckpoints,
    }
    const scheduler: Scheduler = {
      soon: (work) => {
        this.defer(TURN_US, work)
      },
      later: (delayMs, work) => this.defer(this.clock.trueUs(delayMs), work),
    }
    return composeMember({
      start,
      settings,
      learnersMax: 1,
      preVote: drawn.preVote,
      backendBatchChangesMax: drawn.backendBatchChangesMax,
      walFilesMax: drawn.walFilesMax,
      snapshotFilesMax: drawn.walFilesMax,
      progressIntervalMs: 1000,
      fragmentBytes: 2_000_000,
      engines: this.engines.ofProcess(),
      snapshotFiles: place.snapshots,
      clock: this.clock,
      scheduler,
      entropy: this.prng,
      log: place.log,
      leaderCalls: simulatedLeaderCalls(this, network, world),
      createNetwork: (events) => {
        this.events = events
        return network.attach(this, events)
      },
      every: (intervalMs, work) => this.#every(intervalMs, work),
      onEnd: (reason, message, cause) => {
        // What is left of a process that has ended, a promise, may still hear of a failure.
        if (incarnation !== this.incarnation) return
        const panic = panicIn(cause)
        if (panic !== undefined) {
          // It was thrown where a promise took it for a failure.
          if (!this.isDying) this.#panicked(panic)
          return
        }
        const detail = cause instanceof Error ? `: ${describeError(cause)}` : ''
        this.#end(reason, message + detail)
      },
      adapt: {
        node: (node) => {
          this.raft = node
          return adapters.reduce((made, adapter) => adapter.node?.(this, made) ?? made, node)
        },
        log: (log) => adapters.reduce((made, adapter) => adapter.log?.(this, made) ?? made, log),
      },
    })
  }

  #every(intervalMs: number, work: () => void): void {
    const turn = (): void => {
      work()
      this.defer(this.clock.trueUs(intervalMs), turn)
    }
    this.defer(this.clock.trueUs(intervalMs), turn)
  }

  #end(reason: 'failed' | 'removed', message: string): void {
    if (this.isDying) return
    this.isDying = true
    const { world } = this.#context
    world.trace.note(this.place, () => `ends: ${reason} ${message}`)
    const { incarnation } = this
    world.queue.after(DYING_US, () => {
      if (incarnation === this.incarnation) this.kill('crash')
    })
    this.#context.onEnded(this, reason, message)
  }

  /** The process ended in the middle of something. */
  #panicked({ at, message }: SimulatedPanic): void {
    const { world, onEnded } = this.#context
    world.mark(`ends at ${at}`)
    world.trace.event(this.place, message)
    this.kill('crash')
    onEnded(this, 'panicked', message)
  }

  #failed(error: unknown): void {
    if (this.isDamaged && this.isBooting && error instanceof Error && isRefusal(error)) {
      this.#context.world.trace.note(this.place, () => `refuses to start: ${error.message}`)
      this.kill('crash')
      this.isRuined = true
      this.#context.onEnded(this, 'refused', error.message)
      return
    }
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    const isDisk = error instanceof Error && isDiskFailure(error)
    if (this.mayFail && isDisk) {
      this.#end('failed', text)
      return
    }
    this.#context.world.fail('no-crash', `member ${this.place} threw ${text}`)
  }

  #log(): Log {
    const { trace } = this.#context.world
    const line =
      (level: string) =>
      (message: string, fields?: Readonly<Record<string, unknown>>): void =>
        trace.note(this.place, () => `${level} ${message} ${describeFields(fields)}`)
    return {
      isDebugEnabled: trace.isTold,
      debug: line('debug'),
      info: line('info'),
      warn: line('warn'),
      error: line('error'),
    }
  }
}

/** Whether a disk error is at the bottom. */
function isDiskFailure(error: Error): boolean {
  if (error.name === 'DiskError') return true
  return error.cause instanceof Error && isDiskFailure(error.cause)
}

/** The panic that is at the bottom of a failure, if one is. */
function panicIn(error: unknown): SimulatedPanic | undefined {
  if (error instanceof SimulatedPanic) return error
  return error instanceof Error ? panicIn(error.cause) : undefined
}

/** Whether a start was refused for what the disk holds, in words that tell an operator so. */
const isRefusal = (error: Error): boolean =>
  error instanceof WalError ||
  error instanceof SnapshotError ||
  error.message.includes('replace this member')

function describeError(error: Error): string {
  const cause = error.cause instanceof Error ? ` <- ${describeError(error.cause)}` : ''
  return `${error.stack ?? error.message}${cause}`
}

function describeFields(fields: Readonly<Record<string, unknown>> | undefined): string {
  if (fields === undefined) return ''
  return Object.entries(fields)
    .map(([name, value]) => `${name}=${String(value)}`)
    .join(' ')
}
