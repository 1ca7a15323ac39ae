/** A naive store to watch: all its past in one list, reads that end when the test says so. */
import { type Revision, revision } from '../../src/base/ids.js'
import { bytesFromLatin1 } from '../../src/base/latin1.js'
import type { StoreEvent } from '../../src/mvcc/store-event.js'
import type { EventsOutcome, WatchHistory } from '../../src/watch/watch-history.js'
import { KeyValue } from '../../src/wire/mvccpb.js'

export interface Change {
  readonly key: string
  /** undefined = delete. */
  readonly value: string | undefined
}

interface Version {
  readonly createRevision: number
  readonly version: number
  readonly encoded: Uint8Array
}

export class ModelStore implements WatchHistory {
  currentRevision: Revision = revision(1)
  compactedRevision: Revision = revision(-1)
  /** How often the store was read. */
  reads = 0
  /** Reads end at once instead of in `completeReads`. */
  isInstant = false
  readonly all: StoreEvent[] = []
  readonly #live = new Map<string, Version>()
  readonly #previous = new Map<StoreEvent, Uint8Array>()
  #pending: (() => void)[] = []

  /**
   * One transaction; deletes of absent keys do nothing. Returns its events, none when nothing
   * changed.
   */
  commit(changes: readonly Change[]): readonly StoreEvent[] {
    const main = revision(this.currentRevision + 1)
    const events: StoreEvent[] = []
    for (const change of new Map(changes.map((one) => [one.key, one])).values()) {
      const event = this.#apply(change, main, events.length)
      if (event !== undefined) events.push(event)
    }
    if (events.length === 0) return []
    this.currentRevision = main
    this.all.push(...events)
    return events
  }

  compact(at: number): void {
    if (at > this.compactedRevision && at <= this.currentRevision) {
      this.compactedRevision = revision(at)
    }
  }

  prevKv(event: StoreEvent): Uint8Array | undefined {
    if (event.modRevision - 1 < this.compactedRevision) return undefined
    return this.#previous.get(event)
  }

  /** What prev_kv of the event is, compacted or not. */
  previousOf(event: StoreEvent): Uint8Array | undefined {
    return this.#previous.get(event)
  }

  eventsSince(
    wanted: Readonly<{ from: number; to: number; revisionsMax: number; bytesMax?: number }>,
    done: (outcome: EventsOutcome) => void,
  ): void {
    this.reads++
    const finish = (): void => done(this.#read(wanted))
    if (this.isInstant) finish()
    else this.#pending.push(finish)
  }

  get isReading(): boolean {
    return this.#pending.length > 0
  }

  completeReads(): void {
    const pending = this.#pending
    this.#pending = []
    for (const finish of pending) finish()
  }

  #read(
    wanted: Readonly<{ from: number; to: number; revisionsMax: number; bytesMax?: number }>,
  ): EventsOutcome {
    if (wanted.from < this.compactedRevision) {
      return { kind: 'compacted', compactRevision: this.compactedRevision }
    }
    const events: StoreEvent[] = []
    const revisions = new Set<number>()
    let bytes = 0
    for (const event of this.all) {
      if (event.modRevision < wanted.from || event.modRevision > wanted.to) continue
      const isFull = revisions.size >= wanted.revisionsMax || bytes >= (wanted.bytesMax ?? 1e9)
      if (isFull && !revisions.has(event.modRevision)) {
        return { kind: 'events', events, nextRevision: event.modRevision }
      }
      revisions.add(event.modRevision)
      bytes += event.kv.length
      events.push(event)
    }
    return { kind: 'events', events, nextRevision: revision(wanted.to + 1) }
  }

  #apply({ key, value }: Change, modRevision: Revision, sub: number): StoreEvent | undefined {
    const before = this.#live.get(key)
    if (value === undefined && before === undefined) return undefined
    const createRevision = revision(before?.createRevision ?? modRevision)
    const version = (before?.version ?? 0) + 1
    const kv =
      value === undefined
        ? KeyValue.encode({ key: bytesFromLatin1(key), modRevision })
        : KeyValue.encode({
            key: bytesFromLatin1(key),
            value: bytesFromLatin1(value),
            createRevision,
            modRevision,
            version,
          })
    const event: StoreEvent = {
      type: value === undefined ? 'DELETE' : 'PUT',
      key,
      modRevision,
      sub,
      isCreate: value !== undefined && before === undefined,
      kv,
    }
    if (before !== undefined) this.#previous.set(event, before.encoded)
    if (value === undefined) this.#live.delete(key)
    else this.#live.set(key, { createRevision, version, encoded: kv })
    return event
  }
}
