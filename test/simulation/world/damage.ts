import { FRAME_HEADER_BYTES, readFrameHeader } from '../../../src/wal/record.js'
import { hasZeroSector } from '../../../src/wal/torn.js'
import type { SimulatedDisk } from './disk.js'
import type { Prng } from './prng.js'

/** Damage that a checksum shows. */
export const DAMAGES = ['bit-flip', 'garbage-sector', 'misdirected-write', 'bad-snapshot'] as const
export type Damage = (typeof DAMAGES)[number]

const SECTOR_BYTES = 512
/** What a record has in front of its data at most: tags, type, checksum and length. */
const RECORD_HEAD_BYTES = 12

/** Damages what lies on the disk of a machine that is off; false when there is nothing to damage. */
export function damage(disk: SimulatedDisk, kind: Damage, prng: Prng): boolean {
  const isSnapshot = kind === 'bad-snapshot'
  const directory = isSnapshot ? '/data/member/snap' : '/data/member/wal'
  if (disk.stat(directory) === undefined) return false
  const names = disk.list(directory).filter((name) => name.endsWith(isSnapshot ? '.snap' : '.wal'))
  if (names.length === 0) return false
  const path = `${directory}/${isSnapshot ? names.at(-1) : prng.pick(names)}`
  const bytes = disk.read(path)
  switch (kind) {
    case 'bit-flip':
      return flip(disk, path, pickRecordByte(bytes, prng), bytes, prng)
    case 'bad-snapshot':
      return flip(
        disk,
        path,
        bytes.length === 0 ? undefined : prng.below(bytes.length),
        bytes,
        prng,
      )
    case 'garbage-sector': {
      const at = pickRecordByte(bytes, prng)
      const garbage = Uint8Array.from({ length: SECTOR_BYTES }, () => 1 + prng.below(255))
      return overwriteSector(disk, path, bytes, at, garbage)
    }
    case 'misdirected-write': {
      const from = pickRecordByte(bytes, prng)
      const to = pickRecordByte(bytes, prng)
      if (from === undefined || to === undefined) return false
      const source = sectorStart(from)
      if (source === sectorStart(to)) return false
      return overwriteSector(disk, path, bytes, to, bytes.slice(source, source + SECTOR_BYTES))
    }
  }
}

const sectorStart = (at: number): number => at - (at % SECTOR_BYTES)

/** Not where it would look like an interrupted write, which etcd's rule cuts off. */
function overwriteSector(
  disk: SimulatedDisk,
  path: string,
  bytes: Uint8Array,
  at: number | undefined,
  sector: Uint8Array,
): boolean {
  if (at === undefined) return false
  const target = sectorStart(at)
  const damaged = bytes.slice()
  damaged.set(sector.subarray(0, bytes.length - target), target)
  const looksTorn = framesOf(bytes).some(
    ({ start, end }) =>
      start < target + SECTOR_BYTES && end > target && hasZeroSector(damaged, start, end),
  )
  if (looksTorn) return false
  disk.overwrite(path, target, sector)
  return true
}

function flip(
  disk: SimulatedDisk,
  path: string,
  at: number | undefined,
  bytes: Uint8Array,
  prng: Prng,
): boolean {
  if (at === undefined) return false
  disk.overwrite(path, at, Uint8Array.of((bytes[at] ?? 0) ^ (1 << prng.below(8))))
  return true
}

interface Frame {
  readonly start: number
  /** Padding included. */
  readonly end: number
  readonly recordBytes: number
}

function framesOf(bytes: Uint8Array): Frame[] {
  const frames: Frame[] = []
  for (let offset = 0; offset + FRAME_HEADER_BYTES <= bytes.length; ) {
    const header = readFrameHeader(bytes, offset)
    if (header === undefined) break
    const start = offset + FRAME_HEADER_BYTES
    const { recordBytes } = header
    const end = start + recordBytes + header.paddingBytes
    if (end > bytes.length) break
    frames.push({ start, end, recordBytes })
    offset = end
  }
  return frames
}

/** A byte of some record's data: those a checksum covers, and no zero sector excuses. */
function pickRecordByte(bytes: Uint8Array, prng: Prng): number | undefined {
  const found: number[] = []
  for (const { start, end, recordBytes } of framesOf(bytes)) {
    const room = recordBytes - RECORD_HEAD_BYTES
    if (room > 0 && !hasZeroSector(bytes, start, end))
      found.push(start + recordBytes - 1 - prng.below(room))
  }
  return found.length === 0 ? undefined : prng.pick(found)
}
