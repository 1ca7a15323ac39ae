import { Observer } from './checkers/checker.js'
import { CommitHistory } from './checkers/commit-history.js'
import { compareWithModel } from './checkers/final-state.js'
import { findLeak } from './checkers/leaks.js'
import { checkLeases } from './checkers/lease-time.js'
import { MembershipChanges } from './checkers/membership-changes.js'
import { onlineCheckers } from './checkers/online-checkers.js'
import { checkWatch } from './checkers/watch-guarantees.js'
import { Cluster } from './cluster.js'
import {
  areLevel,
  type Core,
  describeMembers,
  describeShortly,
  drawCore,
  haveApplied,
  isCoreSettled,
  lastIndexOf,
  reunite,
  separate,
} from './core.js'
import { withoutRealWorld, withRejections } from './guard.js'
import { History } from './history.js'
import { asLines } from './linearizability/as-lines.js'
import type { HistoryLine } from './linearizability/history-file.js'
import { replayCheck } from './linearizability/replay-check.js'
import { checkV2, compareV2 } from './linearizability/v2-check.js'
import { checkV2Watches } from './linearizability/v2-watch-check.js'
import { searchCheck } from './linearizability/windows.js'
import { compareHashes, Nemesis } from './nemesis.js'
import type { NodeAdapter, SimulatedNode } from './node.js'
import { COMPACTION_WORK, type SimulationOptions, swarm } from './options.js'
import { Client } from './workload/client.js'
import { Rests } from './workload/rests.js'
import { V2Client } from './workload/v2-client.js'
import { V2WatchClient } from './workload/v2-watch-client.js'
import { WatchClient } from './workload/watch-client.js'
import { CREEP_US_MAX } from './world/clock.js'
import type { Mark } from './world/marks.js'
import type { TraceSink } from './world/trace.js'
import { type Violation, World } from './world/world.js'

/** How many microtasks a promise of ours needs at most to move on. */
const MICROTASK_HOPS = 16
/** In the liveness phase everything must be answered and equal within, virtual microseconds. */
const LIVENESS_US = 90_000_000
const SECOND_US = 1_000_000
/** So long clients go on with a core alone, virtual microseconds. */
const CORE_WORK_US = 3_000_000
/** So long a core has to become level, virtual microseconds; after that it only has to keep up. */
const LEVEL_US = 30_000_000
/** Once everything is answered, whatever is held is let go within, virtual microseconds. */
const QUIET_US = 10_000_000

export interface RunResult {
  readonly seed: number
  readonly hash: string
  readonly violation: Violation | undefined
  readonly virtualSeconds: number
  readonly events: number
  readonly operations: number
  readonly revisions: number
  readonly marks: ReadonlyMap<Mark, number>
  /** What clients did and saw, for `npm run checker`. */
  readonly history: () => readonly HistoryLine[]
}

export interface RunOptions {
  readonly seed: number
  readonly options?: SimulationOptions
  readonly sink?: TraceSink
  /** Bugs to be found. */
  readonly adapters?: readonly NodeAdapter[]
}

/** One run: faults, then peace, then a restart of all, then the checkers that need the whole history. */
export class Simulation {
  readonly #seed: number
  readonly #world: World
  readonly #options: SimulationOptions
  readonly #cluster: Cluster
  readonly #commits: CommitHistory
  readonly #history = new History()
  readonly #clients: Client[] = []
  readonly #v2Clients: V2Client[] = []
  readonly #watchers: WatchClient[] = []
  readonly #v2Watchers: V2WatchClient[] = []
  readonly #nemesis: Nemesis
  readonly #observer: Observer

  constructor({ seed, options, sink, adapters }: RunOptions) {
    this.#seed = seed
    this.#world = new World(seed, sink)
    this.#options = options ?? swarm(seed)
    this.#commits = new CommitHistory(this.#world, (commit, by) =>
      this.#observer.onCommitted(commit, by),
    )
    const membership = new MembershipChanges(this.#world)
    const observer = new Observer(
      onlineCheckers(this.#world, this.#commits, membership, () => this.#cluster.nodes),
    )
    this.#observer = observer
    this.#cluster = new Cluster(
      this.#world,
      this.#options,
      [observer.inner, ...(adapters ?? []), observer.outer],
      () => membership.last,
      (node) => observer.afterEvent(node),
    )
    this.#cluster.network.onSent = ({ place }, message) => {
      const from = this.#cluster.nodes[place]
      if (from !== undefined) observer.onSent(from, message)
    }
    this.#cluster.network.onSnapshotChunk = ({ place }, message, chunk) => {
      const from = this.#cluster.nodes[place]
      if (from !== undefined) observer.onSnapshotChunk(from, message, chunk)
    }
    this.#history.onCalled = (operation) => observer.onCalled(operation)
    this.#history.onAnswered = (operation) => observer.onAnswered(operation)
    this.#world.trace.describe = (place) => {
      const node = this.#cluster.nodes[place]
      return node === undefined ? ''.padEnd(36) : describeShortly(node)
    }
    this.#nemesis = new Nemesis(this.#cluster)
    const context = {
      world: this.#world,
      options: this.#options,
      history: this.#history,
      nodes: this.#cluster.nodes,
      rests: new Rests(this.#world.prng.fork('rests'), this.#options.restMeanMs ?? 0),
    }
    for (let id = 1; id <= this.#options.clientCount; id++)
      this.#clients.push(new Client(id, context))
    const { compactionMeanMs } = this.#options.world
    if (compactionMeanMs > 0) {
      const work = { thinkMeanMs: compactionMeanMs, workload: COMPACTION_WORK }
      const id = this.#options.clientCount + 1
      this.#clients.push(new Client(id, { ...context, options: { ...this.#options, ...work } }))
    }
    for (let id = 1; id <= this.#options.v2ClientCount; id++)
      this.#v2Clients.push(new V2Client(id, context))
    for (let id = 1; id <= (this.#options.v2WatcherCount ?? 0); id++)
      this.#v2Watchers.push(new V2WatchClient(id, context))
    for (let id = 1; id <= this.#options.watcherCount; id++)
      this.#watchers.push(new WatchClient(id, context))
  }

  async run(): Promise<RunResult> {
    this.#cluster.seam.enter()
    try {
      return await this.#run()
    } finally {
      this.#cluster.seam.leave()
    }
  }

  async #run(): Promise<RunResult> {
    this.#cluster.start()
    for (const client of this.#workers) client.start()
    for (const watcher of [...this.#watchers, ...this.#v2Watchers]) watcher.start()
    this.#nemesis.start()
    await this.#until(() => false, this.#options.safetySeconds * SECOND_US)
    this.#nemesis.stop()
    for (const client of this.#workers) client.stop()
    if (this.#world.violation === undefined) await this.#core()
    reunite(this.#cluster)
    if (this.#world.violation === undefined) await this.#peace()
    if (this.#world.violation === undefined) await this.#restartAll()
    if (this.#world.violation === undefined) this.#judge()
    return this.#result()
  }

  /** Lets things happen until `isDone`, or for so long; false when the time was over first. */
  async #until(isDone: () => boolean, forUs: number): Promise<boolean> {
    const { queue } = this.#world
    const untilUs = queue.nowUs + forUs
    while (this.#world.violation === undefined) {
      if (isDone()) return true
      if (!queue.step(untilUs)) return false
      if (!this.#cluster.isAsync) continue
      for (let hop = 0; hop < MICROTASK_HOPS; hop++) await undefined
    }
    return false
  }

  get #workers(): readonly (Client | V2Client)[] {
    return [...this.#clients, ...this.#v2Clients]
  }

  /** A quorum is whole again, the others are away or slow: it must lead itself, take writes and converge. */
  async #core(): Promise<void> {
    const prng = this.#world.prng.fork('core')
    const core = drawCore(this.#cluster, prng)
    if (core === undefined) return
    this.#world.mark('core')
    this.#world.trace.event(98, 'core', core.nodes.length)
    separate(this.#cluster, core, prng)
    await this.#expectCore(core, 'does not settle')
    await this.#probe(core.nodes)
    await this.#expectCore(core, 'is not equal')
    compareHashes(this.#cluster)
    for (const client of this.#workers) client.resume()
    await this.#until(() => false, CORE_WORK_US)
    for (const client of this.#workers) client.stop()
  }

  async #expectCore(core: Core, problem: string): Promise<void> {
    const isDone = (): boolean => this.#areIdle && isCoreSettled(core)
    const isIn = (await this.#until(isDone, LEVEL_US)) || (await this.#keepsUp(core))
    if (!isIn && this.#world.violation === undefined)
      this.#world.fail('liveness', `the core ${problem}: ${describeMembers(this.#cluster, core)}`)
  }

  /**
   * A leader that is slow sends its next SYNC before the last one is applied everywhere: such a core is never level, but
   * what is in its log now must be applied by all.
   */
  #keepsUp(core: Core): Promise<boolean> {
    const wanted = lastIndexOf(this.#cluster.nodes)
    return this.#until(() => this.#areIdle && haveApplied(core.nodes, wanted), LIVENESS_US)
  }

  get #areIdle(): boolean {
    return this.#workers.every((client) => client.isIdle)
  }

  /** Everything is whole again: it must converge and answer. */
  async #peace(): Promise<void> {
    this.#world.trace.event(98, 'peace')
    const settled = await this.#until(() => this.#isSettled(), LIVENESS_US)
    if (this.#world.violation !== undefined) return
    if (!settled) {
      this.#world.fail('liveness', `not settled: ${describeMembers(this.#cluster)}`)
      return
    }
    await this.#probe(this.#cluster.currentNodes)
    if (this.#world.violation !== undefined) return
    const isEqual = await this.#until(() => this.#isSettled(), LIVENESS_US)
    if (!isEqual && this.#world.violation === undefined)
      this.#world.fail('liveness', `not equal: ${describeMembers(this.#cluster)}`)
    compareHashes(this.#cluster)
    await this.#until(() => false, SECOND_US)
  }

  /** Each member takes a write. */
  async #probe(nodes: readonly SimulatedNode[]): Promise<void> {
    for (const node of nodes) {
      if (this.#world.violation !== undefined) return
      if (node.member?.isLearner !== false) continue
      const [client] = this.#clients
      if (client === undefined) return
      let isAnswered = false
      for (let attempt = 0; attempt < 5 && !isAnswered; attempt++) {
        let isOver = false
        client.probe(node, (answered) => {
          isOver = true
          isAnswered = answered
        })
        await this.#until(() => isOver, 10 * SECOND_US)
        // Whoever was told of an alarm gives the operator time to take it back.
        if (!isAnswered) await this.#until(() => false, SECOND_US)
      }
      if (!isAnswered && this.#world.violation === undefined)
        this.#world.fail(
          'liveness',
          `member ${node.place} takes no write in peace: ${describeMembers(this.#cluster)}`,
        )
    }
  }

  /** Power is lost everywhere and comes back: what was acknowledged is there. */
  async #restartAll(): Promise<void> {
    this.#world.trace.event(98, 'restart-all')
    const revisionBefore = this.#cluster.foremost?.currentRevision ?? 0
    for (const node of this.#cluster.nodes) this.#cluster.crash(node, 'power-loss')
    const settled = await this.#until(() => this.#isSettled(), LIVENESS_US)
    if (this.#world.violation !== undefined) return
    if (!settled) this.#world.fail('liveness', `not back: ${describeMembers(this.#cluster)}`)
    const revisionAfter = this.#cluster.foremost?.currentRevision ?? 0
    if (revisionAfter < revisionBefore)
      this.#world.fail('durability', `revision ${revisionBefore} became ${revisionAfter}`)
    await this.#until(() => false, 3 * SECOND_US)
    // Leases go on ending: whoever is compared has applied everything.
    await this.#until(() => this.#isSettled(), LIVENESS_US)
    if (this.#world.violation === undefined) await this.#quiet()
  }

  /** Nobody wants anything any more: nothing may be held. */
  async #quiet(): Promise<void> {
    for (const watcher of [...this.#watchers, ...this.#v2Watchers]) watcher.close()
    await this.#until(() => false, SECOND_US)
    await this.#until(() => this.#isSettled(), LIVENESS_US)
    await this.#until(() => this.#leak() === undefined && this.#isSettled(), QUIET_US)
    const leak = this.#leak()
    if (leak !== undefined) this.#world.fail('leak', leak)
    // A lease may have ended a moment ago.
    await this.#until(() => this.#isSettled(), LIVENESS_US)
  }

  #leak(): string | undefined {
    for (const node of this.#cluster.currentNodes) {
      const leak = findLeak(node)
      if (leak !== undefined) return leak
    }
    return undefined
  }

  #isSettled(): boolean {
    if (this.#cluster.isReplacing || this.#cluster.leader === undefined) return false
    if (!this.#areIdle) return false
    const nodes = this.#cluster.currentNodes
    return nodes.length > 0 && areLevel(nodes)
  }

  #judge(): void {
    const { model, playedIndex, lastIndex } = this.#commits
    if (playedIndex !== lastIndex) {
      this.#world.fail('commit-history', `nobody applied entry ${playedIndex + 1}`)
      return
    }
    const { operations } = this.#history
    this.#expect('replay-check', replayCheck(this.#commits, operations))
    this.#expect('search-check', searchCheck(operations, this.#keys()))
    const early = checkLeases(
      model,
      operations,
      (index) => this.#commits.committed[index]?.atUs ?? 0,
      this.#options.clocks.creepUs === 0 ? 0 : CREEP_US_MAX,
    )
    this.#expect('lease-time', early)
    for (const watcher of this.#watchers) {
      for (const record of watcher.records) this.#expect('watch', checkWatch(record, model))
    }
    this.#expect('v2', checkV2(this.#commits, this.#history.v2))
    const told = this.#v2Watchers.flatMap(({ records }) => records)
    this.#expect('v2-watch', checkV2Watches(this.#commits.v2.changes, told))
    const paths = [...new Set(this.#history.v2.map(({ path }) => path))]
    for (const node of this.#cluster.currentNodes) {
      this.#expect('model', compareWithModel(node, model))
      this.#expect('v2', compareV2(node, this.#commits, paths))
    }
  }

  #expect(checker: string, problem: string | undefined): void {
    if (problem !== undefined) this.#world.fail(checker, problem)
  }

  #keys(): readonly string[] {
    const count = this.#options.keyCount + 1
    return Array.from({ length: count }, (_, at) => `k${String(at).padStart(2, '0')}`)
  }

  #result(): RunResult {
    const { world } = { world: this.#world }
    const marks = new Map<Mark, number>(world.marks)
    for (const source of [
      this.#cluster.network.marks,
      ...this.#cluster.nodes.map((n) => n.disk.marks),
    ]) {
      for (const [name, count] of source) marks.set(name, (marks.get(name) ?? 0) + count)
    }
    return {
      seed: this.#seed,
      hash: world.trace.hash,
      violation: world.violation,
      virtualSeconds: world.nowUs / SECOND_US,
      events: world.queue.eventCount,
      operations: this.#history.operations.length,
      revisions: this.#commits.lastIndex,
      marks,
      history: () =>
        asLines(
          this.#history.operations,
          this.#watchers.flatMap(({ records }) => records),
        ),
    }
  }
}

/** Runs one seed, with the real world out of reach. */
export async function runSimulation(options: RunOptions): Promise<RunResult> {
  const { result, rejections } = await withRejections(() =>
    withoutRealWorld(() => new Simulation(options).run()),
  )
  const [first] = rejections
  if (rejections.length === 0 || result.violation !== undefined) return result
  const text = first instanceof Error ? (first.stack ?? first.message) : String(first)
  const message = `a promise was rejected and nobody looked: ${text}`
  const atUs = result.virtualSeconds * SECOND_US
  return { ...result, violation: { checker: 'no-crash', message, atUs } }
}
