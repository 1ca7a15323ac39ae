/**
 * Why a log cannot be opened or written. The texts are etcd's where etcd has one (facts: disk.md
 * 2.4).
 */
export const walErrorTexts = {
  METADATA_CONFLICT: 'wal: conflicting metadata found',
  FILE_NOT_FOUND: 'wal: file not found',
  /** A record does not have the checksum that it says. */
  RECORD_CRC_MISMATCH: 'walpb: crc mismatch',
  /** A segment does not continue the one before. */
  CHAIN_CRC_MISMATCH: 'wal: crc mismatch',
  SNAPSHOT_MISMATCH: 'wal: snapshot mismatch',
  SNAPSHOT_NOT_FOUND: 'wal: snapshot not found',
  /** An entry is missing between two others. */
  ENTRY_GAP: 'wal: slice bounds out of range',
  RECORD_TOO_LONG: 'wal: max entry size limit exceeded',
  /** What is committed is not there: the end of the log, or the snapshot behind it, is lost. */
  COMMIT_OUT_OF_RANGE: 'state.commit is out of range',
  /** A record ends before its time, in a segment that is not the last. */
  TORN: 'unexpected EOF',
  /** A length that no writer makes, or a zero one although the rest of its sector is not zero. */
  BAD_LENGTH: 'wal: bad record length',
  UNKNOWN_RECORD: 'unexpected block type',
  /** The checksum is right and the content is not what the record's type says. */
  BAD_RECORD: 'wal: record cannot be decoded',
  METADATA_MISSING: 'wal: no metadata found',
  LOCKED: 'fileutil: file already locked',
  EXISTS: 'file already exists',
  /** More than `queuedBytesMax` waits for the disk. The log takes nothing more. */
  QUEUE_FULL: 'wal: too many bytes wait to be written',
  /** A write failed: what is on disk is unknown, the log takes nothing more. */
  WRITE_FAILED: 'wal: write failed',
  CLOSED: 'wal: closed',
} as const

export type WalErrorCode = keyof typeof walErrorTexts

/** Match on `code`; `message` is etcd's text, with what it adds. */
export class WalError extends Error {
  override readonly name = 'WalError'
  readonly code: WalErrorCode
  #isPlaced = false

  constructor(
    code: WalErrorCode,
    options: { readonly message?: string; readonly cause?: unknown } = {},
  ) {
    const { message, cause } = options
    super(message ?? walErrorTexts[code], cause === undefined ? {} : { cause })
    this.code = code
  }

  /** The same, saying where: byte `offset` of a file, which stands behind the text. */
  at(path: string, offset: number): WalError {
    if (this.#isPlaced) return this
    const message = `${this.message} (${path} at offset ${offset})`
    const placed = new WalError(this.code, { message, cause: this.cause })
    placed.#isPlaced = true
    return placed
  }
}
