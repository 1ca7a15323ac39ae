// Goal: commit indexes and votes are what the definition says. Method: against a naive twin that tries every
// index and counts.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type LogIndex, logIndex, type MemberId, memberId } from '../../../src/base/ids.js'
import { jointCommittedIndex, jointVoteResult } from '../../../src/raft/quorum/joint.js'
import {
  majorityCommittedIndex,
  majorityVoteResult,
  UNBOUNDED_INDEX,
} from '../../../src/raft/quorum/majority.js'
import { ProgressTracker } from '../../../src/raft/tracker/progress-tracker.js'

const ids = fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { maxLength: 7 })
const toSet = (numbers: readonly number[]): Set<MemberId> =>
  new Set(numbers.map((number) => memberId(BigInt(number))))
const indexes = fc.array(fc.option(fc.integer({ min: 0, max: 20 }), { nil: undefined }), {
  minLength: 10,
  maxLength: 10,
})

function naiveCommitted(voters: Set<MemberId>, of: (id: MemberId) => LogIndex | undefined): number {
  if (voters.size === 0) return Number.POSITIVE_INFINITY
  for (let index = 20; index > 0; index--) {
    const count = [...voters].filter((id) => (of(id) ?? 0) >= index).length
    if (count * 2 > voters.size) return index
  }
  return 0
}

test('the commit index is the highest index that a majority has', () => {
  fc.assert(
    fc.property(ids, ids, indexes, (incoming, outgoing, acknowledged) => {
      const of = (id: MemberId): LogIndex | undefined => {
        const index = acknowledged[Number(id)]
        return index === undefined ? undefined : logIndex(index)
      }
      const voters = { incoming: toSet(incoming), outgoing: toSet(outgoing) }
      expect(majorityCommittedIndex(voters.incoming, of)).toBe(naiveCommitted(voters.incoming, of))
      const both = Math.min(
        naiveCommitted(voters.incoming, of),
        naiveCommitted(voters.outgoing, of),
      )
      expect(jointCommittedIndex(voters, of)).toBe(both)
      // The tracker computes the same from its members' progress.
      const tracker = new ProgressTracker({ countMax: 1, bytesMax: 1 })
      const progress = new Map(
        [...voters.incoming, ...voters.outgoing].map((id) => {
          const member = tracker.createProgress(id, logIndex(0), false)
          member.match = of(id) ?? logIndex(0)
          return [id, member]
        }),
      )
      const nobody = new Set<MemberId>()
      tracker.replace(
        { ...voters, autoLeave: false, learners: nobody, learnersNext: nobody },
        progress,
      )
      expect(tracker.committedIndex()).toBe(both)
    }),
  )
})

test('a vote is decided when the missing ones cannot change it', () => {
  const votes = fc.array(fc.option(fc.boolean(), { nil: undefined }), {
    minLength: 10,
    maxLength: 10,
  })
  fc.assert(
    fc.property(ids, ids, votes, (incoming, outgoing, cast) => {
      const given = new Map<MemberId, boolean>()
      cast.forEach((vote, i) => {
        if (vote !== undefined) given.set(memberId(BigInt(i)), vote)
      })
      const wins = (numbers: readonly number[], missing: boolean): boolean =>
        numbers.length === 0 ||
        numbers.filter((n) => cast[n] ?? missing).length * 2 > numbers.length
      const expected = (halves: readonly (readonly number[])[]): string => {
        if (halves.every((half) => wins(half, false))) return 'won'
        return halves.every((half) => wins(half, true)) ? 'pending' : 'lost'
      }
      expect(majorityVoteResult(toSet(incoming), given)).toBe(expected([incoming]))
      const voters = { incoming: toSet(incoming), outgoing: toSet(outgoing) }
      expect(jointVoteResult(voters, given)).toBe(expected([incoming, outgoing]))
    }),
  )
})

test('no voters commit everything and win every vote', () => {
  expect(majorityCommittedIndex(new Set(), () => undefined)).toBe(UNBOUNDED_INDEX)
  expect(majorityVoteResult(new Set(), new Map())).toBe('won')
})
