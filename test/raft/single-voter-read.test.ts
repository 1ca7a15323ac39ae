import { expect, test } from 'vitest'
import { logIndex, memberId, term } from '../../src/base/ids.js'
import { MemoryStorage } from '../../src/raft/memory-storage.js'
import { RawNode } from '../../src/raft/raw-node.js'

// Goal: a member that is its whole cluster acknowledges an entry before it has written down that it is committed. After
// a power loss it must not answer a linearizable read from before that entry. Found by the simulator (seed 70).
test('a single voter answers reads only once an entry of its new term is committed', () => {
  const id = memberId(1n)
  const storage = new MemoryStorage()
  const confState = { voters: [id], learners: [], votersOutgoing: [], learnersNext: [] }
  const metadata = {
    confState: { ...confState, autoLeave: false },
    index: logIndex(1),
    term: term(1),
  }
  storage.applySnapshot({ data: new Uint8Array(0), metadata })
  const data = Uint8Array.of(7)
  storage.append([{ type: 'EntryNormal', term: term(1), index: logIndex(2), data }])
  storage.setHardState({ term: term(1), vote: id, commit: logIndex(1) })
  const core = new RawNode({
    id,
    electionTicks: 10,
    heartbeatTicks: 1,
    storage,
    randomBelow: () => 0,
    applied: logIndex(1),
  })
  core.campaign()
  const read = Uint8Array.of(1)
  let isAsked = false
  const answers: number[] = []
  while (core.hasReady()) {
    const ready = core.ready()
    if (ready.hardState !== undefined) storage.setHardState(ready.hardState)
    storage.append(ready.entries)
    answers.push(...ready.readStates.map(({ index }) => index))
    core.advance()
    if (!isAsked && core.basicStatus().softState.role === 'leader') {
      isAsked = true
      core.readIndex(read)
    }
  }
  expect(answers).toEqual([3])
})
