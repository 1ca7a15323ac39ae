/** Why a snapshot file cannot be used. The texts are etcd's (facts: disk.md 3). */
export const snapshotErrorTexts = {
  /** The file is empty, or holds no data. */
  EMPTY: 'snap: empty snapshot',
  CRC_MISMATCH: 'snap: crc mismatch',
  /** The file, or the snapshot in it, is not a message at all. */
  UNREADABLE: 'snap: snapshot cannot be decoded',
} as const

export type SnapshotErrorCode = keyof typeof snapshotErrorTexts

/** Match on `code`; `message` is etcd's text. */
export class SnapshotError extends Error {
  override readonly name = 'SnapshotError'
  readonly code: SnapshotErrorCode

  constructor(code: SnapshotErrorCode, cause?: unknown) {
    super(snapshotErrorTexts[code], cause === undefined ? {} : { cause })
    this.code = code
  }
}
