import { crc32c } from '../../../src/base/crc32c.js'
import { WalRecord, WalSnapshot } from '../../../src/wire/disk-messages.js'
import { Entry, HardState } from '../../../src/wire/raftpb.js'
import type { SimulatedDisk } from '../world/disk.js'

const DIRECTORY = '/data/member/wal'
const FRAME_BYTES = 8
const METADATA = 1
const ENTRY = 2
const STATE = 3
const CRC = 4
const SNAPSHOT = 5

/** `isOther`: the entries that the log had were not those that the snapshot stands for. */
interface Unproven {
  readonly index: number
  readonly term: number
  isOther: boolean
}

/**
 * The log of one machine as a power loss would leave it. It is read off the medium by a reader of
 * its own, from where the last look ended: what the process believes does not count here.
 */
export class DurableLog {
  readonly #disk: SimulatedDisk
  #segment = ''
  #path = ''
  #offset = 0
  #crc = 0
  /** How much the disk had written at the last look, and how often names were made durable. */
  #seenBytes = -1
  #seenNames = -1
  /** Term of each entry, by index. */
  #terms: number[] = []
  /** The newest snapshot that is proven: recorded, and committed as the hard state says. */
  #snapshotIndex = 0
  #snapshotTerm = 0
  /** Records of snapshots that no hard state proves yet: a start goes on as if they were not there. */
  #unproven: Unproven[] = []
  #hardState: HardState | undefined

  constructor(disk: SimulatedDisk) {
    this.#disk = disk
  }

  /** Term, vote and commit index; undefined when there are none. */
  get hardState(): HardState | undefined {
    return this.#hardState
  }

  /** Of the last entry or snapshot. */
  get lastIndex(): number {
    return Math.max(this.#terms.length - 1, this.#snapshotIndex)
  }

  /** Terms of entries by index; what a snapshot stands for may be missing. */
  get terms(): readonly (number | undefined)[] {
    return this.#terms
  }

  /** Undefined when there is none, or a snapshot stands for it. */
  termAt(index: number): number | undefined {
    return this.#terms[index]
  }

  /** Whether it has this very entry, or a snapshot of a state that has it. */
  holds(index: number, term: number): boolean {
    return index <= this.#snapshotIndex || this.#terms[index] === term
  }

  /** Whether a later leader had it overwritten: the log has a later term there or in front of it. */
  isOverwritten(index: number, term: number): boolean {
    const entryTerm = this.#terms[Math.min(index, this.#terms.length - 1)] ?? 0
    const snapshotTerm = this.#snapshotIndex < index ? this.#snapshotTerm : 0
    return Math.max(entryTerm, snapshotTerm) > term
  }

  /** Begins again with the first segment: another process has the log now. */
  reset(): void {
    this.#segment = ''
    this.#offset = 0
    this.#crc = 0
    this.#seenBytes = -1
    this.#seenNames = -1
    this.#terms = []
    this.#snapshotIndex = 0
    this.#snapshotTerm = 0
    this.#unproven = []
    this.#hardState = undefined
  }

  /** Reads what became durable since the last look. */
  look(): void {
    if (this.#seenBytes === this.#disk.bytesWritten) return
    this.#seenBytes = this.#disk.bytesWritten
    const { nameSyncs } = this.#disk
    for (;;) {
      if (this.#segment === '' && !this.#nextSegment()) return
      const bytes = this.#disk.durableBytes(this.#path)
      if (bytes !== undefined) this.#read(bytes)
      if (this.#seenNames === nameSyncs || !this.#nextSegment()) break
    }
    this.#seenNames = nameSyncs
  }

  #nextSegment(): boolean {
    const names = this.#disk.durableNames(DIRECTORY)
    const next = names.find((name) => name.endsWith('.wal') && name > this.#segment)
    if (next === undefined) return false
    this.#segment = next
    this.#path = `${DIRECTORY}/${next}`
    this.#offset = 0
    return true
  }

  #read(bytes: Uint8Array): void {
    while (this.#offset + FRAME_BYTES <= bytes.length) {
      const recordBytes = uint32At(bytes, this.#offset)
      const flags = bytes[this.#offset + 7] ?? 0
      const start = this.#offset + FRAME_BYTES
      const end = start + recordBytes + (flags >= 0x80 ? flags & 7 : 0)
      if (recordBytes === 0 || end > bytes.length) return
      if (!this.#take(bytes.subarray(start, start + recordBytes))) return
      this.#offset = end
    }
  }

  /** False when the record is not whole: there the log ends for now. */
  #take(bytes: Uint8Array): boolean {
    const record = decoded(() => WalRecord.decode(bytes))
    if (record === undefined) return false
    const { type, data = new Uint8Array(0) } = record
    if (type === CRC) {
      this.#crc = record.crc
      return true
    }
    const crc = record.data === undefined ? this.#crc : crc32c(data, 0, data.length, this.#crc)
    if (crc !== record.crc || type < METADATA || type > SNAPSHOT) return false
    this.#crc = crc
    if (type === ENTRY) {
      const { index, term } = Entry.decode(data)
      if (this.#terms.length > index) this.#terms.length = index
      this.#terms[index] = term
      for (const snapshot of this.#unproven) snapshot.isOther = false
    } else if (type === STATE) {
      this.#hardState = HardState.decode(data)
      this.#prove()
    } else if (type === SNAPSHOT) {
      const { index, term } = WalSnapshot.decode(data)
      const here = this.#terms[index]
      this.#unproven.push({ index, term, isOther: here !== undefined && here !== term })
      this.#prove()
    }
    return true
  }

  #prove(): void {
    if (this.#unproven.length === 0) return
    const commit = this.#hardState?.commit ?? 0
    for (const { index, term, isOther } of this.#unproven) {
      if (index > commit || index <= this.#snapshotIndex) continue
      this.#snapshotIndex = index
      this.#snapshotTerm = term
      if (isOther || index >= this.#terms.length) this.#terms = []
    }
    this.#unproven = this.#unproven.filter(({ index }) => index > commit)
  }
}

/** Little-endian. */
const uint32At = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] ?? 0) |
    ((bytes[at + 1] ?? 0) << 8) |
    ((bytes[at + 2] ?? 0) << 16) |
    ((bytes[at + 3] ?? 0) << 24)) >>>
  0

function decoded<Value>(decode: () => Value): Value | undefined {
  try {
    return decode()
  } catch {
    return undefined
  }
}
