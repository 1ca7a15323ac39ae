import { LIVE } from '../backend/engine-names.js'
import { ZERO_INDEX } from '../base/ids.js'
import type { ReplicatedState } from '../member/replicated-state.js'
import type { Disk } from '../ports/disk.js'
import { walErrorTexts } from '../wal/wal-error.js'
import type { StartPoint } from './bootstrap.js'

const REPLACE = 'replace this member (member remove, then member add with an empty data directory)'

/** What of the restored state says how far it goes. */
interface StoreState {
  readonly backend: Pick<ReplicatedState['backend'], 'consistentIndex'>
  readonly membership: Pick<ReplicatedState['membership'], 'version'>
}

/**
 * The store has at least what the log goes on from, and nothing that the log has not: otherwise one
 * of them was damaged, removed or exchanged, and entries would be lost or applied twice. A cluster
 * of etcd 2.x had no store. Throws with a text for the operator, which begins with etcd's.
 */
export function assertStoreFitsLog(
  { snapshot, storage }: Pick<StartPoint, 'snapshot' | 'storage'>,
  { backend, membership }: StoreState,
): void {
  const storeIndex = backend.consistentIndex
  const from = snapshot?.metadata.index ?? ZERO_INDEX
  const isOfEtcd2 =
    membership.version === undefined ? storeIndex === 0 : membership.version.major < 3
  if (storeIndex < from && !isOfEtcd2) {
    throw new Error(
      `database file (leveldb index ${storeIndex}) does not match with snapshot (index ${from}): ` +
        `files of the store are missing or damaged; ${REPLACE}`,
    )
  }
  if (storeIndex > storage.lastIndex()) {
    throw new Error(
      `wal: the log ends at entry ${storage.lastIndex()}, but the store has applied entry ` +
        `${storeIndex}: files of the log are missing or damaged; ${REPLACE}`,
    )
  }
}

/**
 * What etcd 2.x kept beside its snapshot, nothing or the store of its v3 demo, has all that the
 * snapshot stands for, but does not say so: from here on it does. Who leads may have to send its
 * state to another before it applies anything. Call it on a store that fits the log.
 */
export function raiseStoreToSnapshot(
  { snapshot }: Pick<StartPoint, 'snapshot'>,
  backend: Pick<ReplicatedState['backend'], 'consistentIndex' | 'setConsistentIndex'>,
): void {
  if (snapshot === undefined || backend.consistentIndex >= snapshot.metadata.index) return
  backend.setConsistentIndex(snapshot.metadata.index, snapshot.metadata.term)
}

/**
 * A member has its log before it has a store: a store alone means that the log was removed, or is
 * looked for in the wrong place, and beginning anew would forget what this member promised. Returns
 * why the start must be refused, or undefined.
 */
export function problemWithoutLog(
  disk: Disk,
  place: { readonly dataDir: string; readonly walDir: string },
): string | undefined {
  const store = `${place.dataDir}/member/${LIVE}`
  if (disk.stat(store) === undefined) return undefined
  return (
    `${walErrorTexts.FILE_NOT_FOUND}: no log in ${place.walDir}, but there is a store in ` +
    `${store}: the log was removed, or is somewhere else (--wal-dir)`
  )
}
