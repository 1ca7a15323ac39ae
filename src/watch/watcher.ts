import type { StoreEvent } from '../mvcc/store-event.js'
import type { SharedEvent } from './shared-event.js'
import type { WatchStream } from './watch-stream.js'

/**
 * - `synced`: has seen all events so far; is served when they happen.
 * - `behind`: has to catch up, from memory or from the store.
 * - `parked`: the same, and its client has to read first.
 * - `closed`: gone; whoever still holds it skips it.
 *
 * synced -> parked (its client is full) -> behind (the client has read) -> synced; behind ->
 * parked; any -> closed.
 */
export type WatcherState = 'synced' | 'behind' | 'parked' | 'closed'

export interface WatcherSettings {
  readonly noPut: boolean
  readonly noDelete: boolean
  /** Events carry the value before them. */
  readonly wantsPrevious: boolean
  readonly wantsFragments: boolean
  readonly wantsProgress: boolean
}

/** One watch of one stream. Changed by the hub only. */
export class Watcher {
  readonly stream: WatchStream
  readonly id: number
  /** latin1. */
  readonly key: string
  /** latin1; '' = the key alone, '\0' = all keys from it on, else exclusive. */
  readonly end: string
  readonly settings: WatcherSettings
  /** The first revision that it has not been given; for a synced one at least that. */
  nextRevision: number
  state: WatcherState = 'behind'
  /** No event was sent since the last progress notification was due. */
  isQuiet = true
  /** The events of the transaction that is being delivered, when they are several. */
  matched: SharedEvent[] | undefined = undefined

  constructor(
    at: Readonly<{ stream: WatchStream; id: number; key: string; end: string; from: number }>,
    settings: WatcherSettings,
  ) {
    this.stream = at.stream
    this.id = at.id
    this.key = at.key
    this.end = at.end
    this.nextRevision = at.from
    this.settings = settings
  }

  /** Whether its filters let the event through. */
  accepts(event: StoreEvent): boolean {
    return event.type === 'PUT' ? !this.settings.noPut : !this.settings.noDelete
  }
}

const interned = new Map<number, WatcherSettings>()

/** One frozen object for each of the 32 combinations, so that a watcher holds a pointer only. */
export function internSettings(settings: WatcherSettings): WatcherSettings {
  const { noPut, noDelete, wantsPrevious, wantsFragments, wantsProgress } = settings
  const number =
    Number(noPut) +
    2 * Number(noDelete) +
    4 * Number(wantsPrevious) +
    8 * Number(wantsFragments) +
    16 * Number(wantsProgress)
  let known = interned.get(number)
  if (known === undefined) {
    known = Object.freeze({ noPut, noDelete, wantsPrevious, wantsFragments, wantsProgress })
    interned.set(number, known)
  }
  return known
}
