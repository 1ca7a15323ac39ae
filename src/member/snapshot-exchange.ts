import type { Backend } from '../backend/backend.js'
import { failpoint } from '../base/failpoints.js'
import type { LogIndex } from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import type { Log } from '../ports/log.js'
import type { PeerNetwork } from '../ports/peer-network.js'
import type { RaftMessage } from '../raft/raw-node.js'
import type { Snapshot } from '../wire/raftpb.js'
import type { MemberLog } from './member-parts.js'
import type { DurableWrite } from './raft-loop.js'
import type { ReplicatedState } from './replicated-state.js'
import type { SnapshotKeeper } from './snapshot-keeper.js'

export interface SnapshotExchangeHost {
  readonly log: Log
  readonly wal: MemberLog
  readonly network: PeerNetwork
  readonly snapshots: SnapshotKeeper
  backend(): Backend
  appliedIndex(): LogIndex
  write(write: DurableWrite, done: () => void): void
  /** Swaps the backend's content for the received one and restores the state from it. */
  installState(
    snapshot: Snapshot,
    done: (failure: Error | undefined, state: ReplicatedState | undefined) => void,
  ): void
  /** The state is another one from now on. */
  onReplaced(state: ReplicatedState, snapshot: Snapshot): void
  /** A snapshot could not be sent: raft must know, or it waits for ever. */
  onSendFailed(message: RaftMessage): void
  onFatal(message: string, cause: unknown): void
}

/**
 * Snapshots between members: the state of this one for one that is far behind, and the other way
 * round.
 */
export class SnapshotExchange {
  readonly #host: SnapshotExchangeHost
  #isReplacing = false

  constructor(host: SnapshotExchangeHost) {
    this.#host = host
  }

  /** A received snapshot is being installed: there is no state to read meanwhile. */
  get isReplacing(): boolean {
    return this.#isReplacing
  }

  /** Metadata and membership are taken at the very entry at which the content is frozen. */
  send(message: RaftMessage): void {
    const { log, network, snapshots } = this.#host
    let taken: Snapshot | undefined
    this.#host.backend().openSnapshot(
      (failure, content) => {
        if (content === undefined || taken === undefined) {
          content?.body.close()
          log.warn('failed to open a database snapshot', { error: failure?.message })
          this.#host.onSendFailed(message)
          return
        }
        const isOfOneEntry = content.index === taken.metadata.index
        invariant(isOfOneEntry, 'a snapshot and its content are of one entry')
        network.sendSnapshot({ ...message, snapshot: taken }, content.body)
      },
      () => {
        const applied = this.#host.appliedIndex()
        // After a restart the store may be ahead of what was applied again: raft asks once more.
        if (this.#host.backend().consistentIndex > applied) return
        taken = snapshots.current(applied)
      },
    )
  }

  /**
   * Durable first: the snapshot's file and record, then what is behind it in the log; then the
   * state.
   */
  install(snapshot: Snapshot, write: DurableWrite, done: () => void): void {
    const { log, wal } = this.#host
    this.#isReplacing = true
    log.info('applying snapshot', {
      'incoming-leader-snapshot-index': snapshot.metadata.index,
      'current-applied-index': this.#host.appliedIndex(),
    })
    failpoint('raftBeforeSaveSnap')
    wal.saveSnapshot(snapshot, (failure) => {
      if (failure !== undefined) {
        this.#host.onFatal('failed to save Raft snapshot', failure)
        return
      }
      failpoint('raftAfterSaveSnap')
      // With the snapshot's record the segments in front of it were let go.
      failpoint('raftAfterWALRelease')
      this.#host.write(write, () => this.#replace(snapshot, done))
    })
  }

  #replace(snapshot: Snapshot, done: () => void): void {
    failpoint('applyBeforeOpenSnapshot')
    this.#host.installState(snapshot, (problem, state) => {
      failpoint('applyAfterOpenSnapshot')
      if (problem !== undefined || state === undefined) {
        this.#host.onFatal('failed to apply the snapshot', problem)
        return
      }
      this.#isReplacing = false
      this.#host.snapshots.onInstalled(snapshot.metadata.index)
      this.#host.onReplaced(state, snapshot)
      this.#host.log.info('applied snapshot', {
        'incoming-leader-snapshot-index': snapshot.metadata.index,
      })
      done()
    })
  }
}
