// What the backend has applied was committed: a restart goes on from there (simulation seed 260790830).
import { expect, test } from 'vitest'
import { logIndex, NO_MEMBER, term } from '../../src/base/ids.js'
import { raiseCommitToProven } from '../../src/member/proven-commit.js'
import { MemoryStorage } from '../../src/raft/memory-storage.js'
import { Entry } from '../../src/wire/raftpb.js'

function storageOf(options: { readonly last: number; readonly commit: number }): MemoryStorage {
  const storage = new MemoryStorage()
  storage.append(
    Array.from({ length: options.last }, (_, at) =>
      Entry.create({ term: term(1), index: logIndex(at + 1) }),
    ),
  )
  storage.setHardState({ term: term(1), vote: NO_MEMBER, commit: logIndex(options.commit) })
  return storage
}

test.each([
  { last: 10, commit: 4, consistent: 8, expected: 8 },
  { last: 10, commit: 4, consistent: 12, expected: 10 },
  { last: 10, commit: 9, consistent: 8, expected: 9 },
])('commit $commit of $last becomes $expected with a backend at $consistent', (given) => {
  const storage = storageOf(given)
  raiseCommitToProven(storage, logIndex(given.consistent))
  expect(storage.initialState().hardState.commit).toBe(given.expected)
})
