import { mark } from '../base/buggify.js'
import { type LogIndex, logIndex } from '../base/ids.js'
import type { MemoryStorage } from '../raft/memory-storage.js'

/**
 * Raises the commit index that a restart begins with to what the backend proves. A commit index
 * alone costs no write of its own, so after a crash the log may know of less than was applied. Only
 * what is durable in the log is ever applied, and only what is committed, so the entries up to the
 * backend's index are both. Without this a leader could wait for ever: its followers need a
 * snapshot, and it may not make one while its store is ahead of what it applied.
 */
export function raiseCommitToProven(storage: MemoryStorage, consistentIndex: LogIndex): void {
  const { hardState } = storage.initialState()
  const proven = logIndex(Math.min(consistentIndex, storage.lastIndex()))
  if (proven <= hardState.commit) return
  mark('member/commit-proven')
  storage.setHardState({ ...hardState, commit: proven })
}
