import { type LogIndex, logIndex, type MemberId, memberId } from '../../../src/base/ids.js'
import { jointCommittedIndex, jointVoteResult } from '../../../src/raft/quorum/joint.js'
import type { VoteResult } from '../../../src/raft/quorum/majority.js'
import { valuesOf } from './arguments.js'
import type { Command } from './datadriven.js'

const RESULT_NAMES: Readonly<Record<VoteResult, string>> = {
  won: 'VoteWon',
  lost: 'VoteLost',
  pending: 'VotePending',
}

const idsOf = (values: readonly string[] = []): MemberId[] =>
  values.filter((value) => value !== 'zero').map((value) => memberId(BigInt(value)))

/** Plays the commands `committed` and `vote`; voters take their values in the order of first mention. */
export function runQuorumCommand(command: Command): string {
  const incoming = idsOf(valuesOf(command, 'cfg'))
  const outgoing = idsOf(valuesOf(command, 'cfgj'))
  const isJoint = valuesOf(command, 'cfgj') !== undefined
  const voters = [...new Set([...incoming, ...outgoing])]
  const joint = { incoming: new Set(incoming), outgoing: new Set(outgoing) }
  if (command.name === 'committed') {
    const values = valuesOf(command, 'idx') ?? []
    const acknowledged = new Map<MemberId, LogIndex>()
    voters.forEach((id, i) => {
      const value = values[i] ?? '_'
      if (value !== '_') acknowledged.set(id, logIndex(Number(value)))
    })
    const index = jointCommittedIndex(joint, (id) => acknowledged.get(id))
    const swapped = { incoming: joint.outgoing, outgoing: joint.incoming }
    if (jointCommittedIndex(swapped, (id) => acknowledged.get(id)) !== index) {
      return 'the halves of a joint configuration must be interchangeable'
    }
    const empty = isJoint ? '<empty joint quorum>' : '<empty majority quorum>'
    const picture = voters.length === 0 ? empty : drawIndexes(voters, acknowledged)
    return `${picture}${index === Number.POSITIVE_INFINITY ? '∞' : index}`
  }
  const values = valuesOf(command, 'votes') ?? []
  const votes = new Map<MemberId, boolean>()
  voters.forEach((id, i) => {
    const value = values[i] ?? '_'
    if (value !== '_') votes.set(id, value === 'y')
  })
  return RESULT_NAMES[jointVoteResult(joint, votes)]
}

function drawIndexes(
  voters: readonly MemberId[],
  acknowledged: ReadonlyMap<MemberId, LogIndex>,
): string {
  const count = voters.length
  const rows = voters.map((id) => ({ id, index: acknowledged.get(id) }))
  const rank = (index: LogIndex): number => {
    return rows.filter((row) => row.index === undefined || row.index < index).length
  }
  const lines = [...rows]
    .sort((a, b) => Number(a.id - b.id))
    .map(({ id, index }) => {
      const bar =
        index === undefined
          ? `?${' '.repeat(count)}`
          : `${'x'.repeat(rank(index))}>${' '.repeat(count - rank(index))}`
      return `${bar} ${String(index ?? 0).padStart(5)}    (id=${id})\n`
    })
  return `${' '.repeat(count)}    idx\n${lines.join('')}`
}
