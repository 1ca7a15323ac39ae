import { Writer } from '../wire/writer.js'
import type { SegmentName } from './segment-name.js'
import type { WalDone } from './wal-options.js'

/** Written buffers that are kept for the next batches: one is on its way while one fills. */
const SPARE_MAX = 2
const FIRST_BYTES = 16 * 1024

/** Records that go to the disk in one write. */
export interface Batch {
  readonly out: Writer
  /** The saves in it, in order. */
  readonly dones: WalDone[]
  /**
   * The new segment that it begins, with the records that open it; undefined when it continues one.
   */
  startsSegment: SegmentName | undefined
  /** Whether a save in it waits for the disk; without one it waits for company. */
  mustWrite: boolean
}

/** Makes batches and takes their buffers back. */
export class BatchPool {
  readonly #spare: Writer[] = []

  take(): Batch {
    const out = this.#spare.pop() ?? new Writer(FIRST_BYTES)
    return { out, dones: [], startsSegment: undefined, mustWrite: false }
  }

  giveBack(batch: Batch): void {
    batch.out.reset()
    if (this.#spare.length < SPARE_MAX) this.#spare.push(batch.out)
  }
}
