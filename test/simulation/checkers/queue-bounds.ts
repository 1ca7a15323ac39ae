import { APPLY_LAG_ENTRIES_MAX, PROPOSALS_MAX } from '../../../src/member/member-settings.js'
import { STREAM_BYTES_MAX } from '../../../src/watch/limits.js'
import type { SimulatedNode } from '../node.js'
import type { World } from '../world/world.js'
import type { Checker } from './checker.js'

/** Entries of one turn that may be committed before the limit on unapplied ones is looked at. */
const APPLY_SLACK_ENTRIES = 1000
/** One look in so many events: what grows without bound is found all the same. */
const STRIDE = 64
/** Snapshots and iterators of one engine: a few readers, one compaction, one snapshot a peer. */
const HANDLES_MAX = 64
/** Things that wait to happen in the whole world. */
const EVENTS_MAX = 100_000

/** Every queue of a member stays within its named maximum. */
export class QueueBounds implements Checker {
  readonly #world: World
  #count = 0

  constructor(world: World) {
    this.#world = world
  }

  afterEvent(place: SimulatedNode): void {
    if (++this.#count % STRIDE !== 0) return
    const { member } = place
    if (member === undefined || !member.isServing) return
    const { hub } = member
    const lag = member.committedIndex - member.appliedIndex
    this.#bound(place, 'proposals', member.pendingProposalCount, PROPOSALS_MAX)
    this.#bound(place, 'unapplied entries', lag, APPLY_LAG_ENTRIES_MAX + APPLY_SLACK_ENTRIES)
    this.#bound(place, 'watch events', hub.pendingEventCount, hub.streamCount * STREAM_BYTES_MAX)
    this.#bound(place, 'slow watchers', hub.slowWatcherCount, hub.watcherCount)
    this.#bound(place, 'engine handles', place.engines.openHandles, HANDLES_MAX)
    this.#bound(place, 'events of the world', this.#world.queue.size, EVENTS_MAX)
  }

  #bound(place: SimulatedNode, name: string, value: number, max: number): void {
    if (value > max || value < 0)
      this.#world.fail('queue-bounds', `member ${place.place} has ${value} ${name} of ${max}`)
  }
}
