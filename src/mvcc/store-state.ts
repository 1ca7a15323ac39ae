import { KeyIndex } from './key-index.js'
import type { LeaseAttachments } from './lease-attachments.js'
import type { RowStore } from './rows.js'
import type { HashSeed } from './slot-table.js'

/** What etcd reports as the compacted revision of a store that never was compacted. */
export const NEVER_COMPACTED = -1

/** A reader that needs every revision above `above` to stay until it ends. */
export interface Pin {
  readonly above: number
}

/** What the parts of the store share. Only src/mvcc touches it. */
export class StoreState {
  #index: KeyIndex
  readonly #seed: HashSeed | undefined
  readonly rows: RowStore
  readonly attachments: LeaseAttachments
  /** Main revision of the newest change; 1 when there was none. */
  currentRevision = 1
  /** Readers below this are refused; -1 = never compacted. */
  compactedRevision = NEVER_COMPACTED
  /** Rows below this that nobody can see any more are gone. */
  finishedCompactRevision = NEVER_COMPACTED
  readonly #pins = new Set<Pin>()

  constructor(
    options: Readonly<{ rows: RowStore; attachments: LeaseAttachments; hashSeed?: HashSeed }>,
  ) {
    this.#seed = options.hashSeed
    this.#index = new KeyIndex(this.#seed)
    this.rows = options.rows
    this.attachments = options.attachments
  }

  get index(): KeyIndex {
    return this.#index
  }

  /** Begins anew with an index without keys. For the restore, before anybody reads. */
  forgetIndex(): void {
    this.#index = new KeyIndex(this.#seed)
    this.currentRevision = 1
  }

  pin(above: number): Pin {
    const pin = { above }
    this.#pins.add(pin)
    return pin
  }

  unpin(pin: Pin): void {
    this.#pins.delete(pin)
  }

  /** Whether a reader still needs what a compaction at `main` removes. */
  isPinnedBelow(main: number): boolean {
    for (const pin of this.#pins) if (pin.above < main) return true
    return false
  }
}
