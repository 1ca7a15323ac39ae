/** The engine that is in use. */
export const LIVE = 'leveldb'
/** A snapshot that is being received: worthless until it is whole. */
export const RECEIVING = 'leveldb.receiving'
/** A whole snapshot that has to become the live engine, whatever happens. */
export const INSTALLING = 'leveldb.installing'
/** The live engine before an installation. */
export const REPLACED = 'leveldb.replaced'

const STAGED = /^leveldb\.([0-9a-f]{16})\.staged$/

/**
 * A whole snapshot that waits until its raft snapshot is durable; 16 hex digits of the log index.
 */
export const stagedName = (index: number): string =>
  `leveldb.${index.toString(16).padStart(16, '0')}.staged`

/** The log index in a name that `stagedName` made; undefined for others. */
export function stagedIndex(name: string): number | undefined {
  const digits = STAGED.exec(name)?.[1]
  return digits === undefined ? undefined : Number.parseInt(digits, 16)
}
