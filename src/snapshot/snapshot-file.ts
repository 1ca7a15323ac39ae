import { crc32c } from '../base/crc32c.js'
import { SnapshotFile } from '../wire/disk-messages.js'
import { Snapshot } from '../wire/raftpb.js'
import { WireError } from '../wire/reader.js'
import { SnapshotError } from './snapshot-error.js'

/** A snapshot as its file holds it: the encoded snapshot behind its checksum. */
export function encodeSnapshotFile(snapshot: Snapshot): Uint8Array {
  const data = Snapshot.encode(snapshot)
  return SnapshotFile.encode({ crc: crc32c(data), data })
}

/** Reads what `encodeSnapshotFile` wrote, or etcd. Throws SnapshotError. */
export function decodeSnapshotFile(bytes: Uint8Array): Snapshot {
  if (bytes.length === 0) throw new SnapshotError('EMPTY')
  const { crc, data } = decoded(() => SnapshotFile.decode(bytes))
  if (data === undefined || data.length === 0 || crc === 0) throw new SnapshotError('EMPTY')
  if (crc32c(data) !== crc) throw new SnapshotError('CRC_MISMATCH')
  return decoded(() => Snapshot.decode(data))
}

function decoded<Value>(decode: () => Value): Value {
  try {
    return decode()
  } catch (error) {
    if (!(error instanceof WireError)) throw error
    throw new SnapshotError('UNREADABLE', error)
  }
}
