import { idToHex, NO_MEMBER } from '../base/ids.js'
import type { CheckedConfig } from './config.js'
import { restoreConfiguration } from './configuration.js'
import { Raft } from './raft.js'

/** A follower in the state that storage remembers. */
export function createRaft(config: CheckedConfig): Raft {
  const raft = new Raft(config)
  const { hardState, confState } = config.storage.initialState()
  restoreConfiguration(raft, confState)
  const isFresh = hardState.term === 0 && hardState.vote === NO_MEMBER && hardState.commit === 0
  if (!isFresh) raft.loadHardState(hardState)
  if (config.applied > 0) raft.log.appliedTo(config.applied, 0)
  raft.becomeFollower(raft.term, NO_MEMBER)
  raft.logger.info(() => {
    const peers = raft.tracker.voterIds().map(idToHex).join(',')
    const last = raft.lastPosition()
    return (
      `newRaft ${raft.name} [peers: [${peers}], term: ${raft.term}, ` +
      `commit: ${raft.log.committed}, applied: ${raft.log.applied}, ` +
      `lastindex: ${last.index}, lastterm: ${last.term}]`
    )
  })
  return raft
}
