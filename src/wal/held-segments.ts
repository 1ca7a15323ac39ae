import type { LogIndex } from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import type { Disk, DiskFile } from '../ports/disk.js'
import type { Log } from '../ports/log.js'
import { type SegmentName, segmentsAmong } from './segment-name.js'
import { WalError } from './wal-error.js'

interface Held {
  readonly segment: SegmentName
  readonly file: DiskFile
}

/**
 * The segments that a log still needs, each open and locked: another process, etcd's own tools
 * included, then keeps off the directory. Those that are let go may be purged.
 */
export class HeldSegments {
  readonly #held: Held[] = []
  readonly #log: Log | undefined
  #isUnlockable = false

  constructor(log: Log | undefined) {
    this.#log = log
  }

  get tail(): Held {
    const tail = this.#held.at(-1)
    invariant(tail !== undefined, 'a log has a segment')
    return tail
  }

  /**
   * Locks a segment's file and adds it behind the others; throws LOCKED when somebody else has it.
   */
  add(segment: SegmentName, file: DiskFile): void {
    const previous = this.#held.at(-1)
    invariant(
      previous === undefined || previous.segment.sequence + 1 === segment.sequence,
      'segments are held without a gap',
    )
    this.#held.push({ segment, file })
    if (this.#isUnlockable) return
    const outcome = file.tryLock()
    if (outcome === 'held') throw new WalError('LOCKED')
    if (outcome === 'locked') return
    this.#isUnlockable = true
    this.#log?.warn('cannot lock log segments: another etcd could open the same directory', {
      path: file.path,
    })
  }

  /** Lets all go that hold only entries below `index`, but never the last of them nor the tail. */
  releaseTo(index: LogIndex): void {
    const above = this.#held.findIndex(({ segment }) => segment.index >= index)
    const released = (above < 0 ? this.#held.length : above) - 1
    for (const { file } of this.#held.splice(0, Math.max(0, released))) file.close()
  }

  /**
   * Removes the oldest segments that are not held while there are more than `filesMax`; returns
   * their names.
   */
  purge(disk: Disk, directory: string, filesMax: number): readonly string[] {
    const segments = segmentsAmong(disk.list(directory))
    const excess = filesMax === 0 ? 0 : Math.max(0, segments.length - filesMax)
    const oldestHeld = this.#held[0]?.segment.sequence ?? 0
    const removed = segments.slice(0, excess).filter(({ sequence }) => sequence < oldestHeld)
    for (const { name } of removed) disk.remove(`${directory}/${name}`)
    if (removed.length > 0) disk.syncDirectory(directory)
    return removed.map(({ name }) => name)
  }

  close(): void {
    for (const { file } of this.#held.splice(0)) file.close()
  }
}
