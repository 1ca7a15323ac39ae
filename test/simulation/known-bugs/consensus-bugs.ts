import type { LogIndex } from '../../../src/base/ids.js'
import { RaftLog } from '../../../src/raft/log.js'
import { LOCAL_APPEND_THREAD } from '../../../src/raft/message.js'
import type { RaftMessage } from '../../../src/raft/raw-node.js'
import { ConfChange } from '../../../src/wire/raftpb.js'
import type { KnownBug } from './known-bug.js'
import { changingReady, replaced, shaped, withMessages } from './tools.js'

/** Elections, commitment, proposals and membership. */
export const CONSENSUS_BUGS: readonly KnownBug[] = [
  {
    name: 'a member votes for everybody who asks',
    foundBy: ['durable-first', 'one-leader', 'one-vote'],
    shape: shaped(
      { crash: 10, 'power-loss': 4, 'isolate-leader': 6 },
      {},
      { preVote: false, electionTicks: 3 },
    ),
    create: () =>
      changingReady((ready) => {
        const granted = (message: RaftMessage): RaftMessage =>
          message.type === 'MsgVoteResp' ? { ...message, reject: false } : message
        const messages = ready.messages.map((message): RaftMessage => {
          if (message.responses === undefined) return granted(message)
          return { ...message, responses: message.responses.map(granted) }
        })
        return withMessages(ready, messages)
      }),
  },
  {
    name: 'a proposal is appended twice',
    foundBy: ['applied-twice', 'replay-check', 'no-crash'],
    create: (prng) => ({
      node: (_place, node) => {
        const propose = node.propose.bind(node)
        node.propose = (datas) => {
          const outcome = propose(datas)
          if (prng.perMille(20)) propose(datas)
          return outcome
        }
        return node
      },
    }),
  },
  {
    name: 'a vote for a candidate that lacks entries',
    foundBy: ['leader-completeness', 'commit-history', 'log-matching', 'no-crash'],
    shape: shaped({ 'isolate-leader': 8, 'power-loss': 3 }, { put: 20 }, { preVote: false }),
    install: () => replaced(RaftLog.prototype, 'isUpToDate', () => () => true),
  },
  {
    name: 'an entry of an earlier term is committed by count',
    foundBy: ['commit-by-count', 'leader-completeness', 'commit-history', 'no-crash'],
    shape: shaped({ 'isolate-leader': 8, crash: 4 }, { put: 30 }),
    install: () =>
      replaced(RaftLog.prototype, 'maybeCommit', () => {
        return function (this: RaftLog, { index }: { readonly index: LogIndex }): boolean {
          if (index <= this.committed || index > this.lastIndex()) return false
          this.commitTo(index)
          return true
        }
      }),
  },
  {
    name: 'entries are taken without a look at what is before them',
    foundBy: [
      'commit-by-count',
      'log-matching',
      'commit-history',
      'leader-completeness',
      'no-crash',
      'durable-first',
    ],
    shape: shaped({ 'isolate-leader': 8, partition: 4 }, { put: 30 }),
    install: () =>
      replaced(RaftLog.prototype, 'matches', () => {
        return function (this: RaftLog, { index }: { readonly index: LogIndex }): boolean {
          return index <= this.lastIndex()
        }
      }),
  },
  {
    name: 'a change of membership counts as soon as it is in the log',
    foundBy: ['membership', 'no-crash'],
    shape: shaped({ 'replace-member': 8, 'add-learner': 4, 'isolate-leader': 3 }),
    create: () =>
      changingReady((ready, _place, node) => {
        for (const message of ready.messages) {
          if (message.to !== LOCAL_APPEND_THREAD) continue
          for (const { type, data } of message.entries)
            if (type === 'EntryConfChange') node.applyConfChange(ConfChange.decode(data))
        }
        return ready
      }),
  },
]
