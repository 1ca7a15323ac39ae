// Goal: an unsound membership is found out before it is put in force. Method: one broken rule at a time.
import { expect, test } from 'vitest'
import { logIndex, type MemberId, memberId } from '../../../src/base/ids.js'
import { brokenRule, ConfChanger } from '../../../src/raft/confchange/changer.js'
import { describeConfChange, pathOf } from '../../../src/raft/confchange/conf-change.js'
import { EMPTY_CONFIG, ProgressTracker } from '../../../src/raft/tracker/progress-tracker.js'

const tracker = new ProgressTracker({ countMax: 1, bytesMax: 1 })
const ids = (...numbers: number[]): Set<MemberId> =>
  new Set(numbers.map((number) => memberId(BigInt(number))))
const progressOf = (voters: number[], learners: number[] = []) =>
  new Map(
    [...voters, ...learners].map((number) => {
      const id = memberId(BigInt(number))
      return [id, tracker.createProgress(id, logIndex(1), learners.includes(number))] as const
    }),
  )

const cases = [
  ['no progress for 2', { incoming: ids(1, 2) }, progressOf([1])],
  ['2 is in LearnersNext, but not Voters[1]', { learnersNext: ids(2) }, progressOf([2])],
  [
    '2 is in LearnersNext, but is already marked as learner',
    { outgoing: ids(2), learnersNext: ids(2) },
    progressOf([], [2]),
  ],
  ['2 is in Learners and Voters[1]', { outgoing: ids(2), learners: ids(2) }, progressOf([], [2])],
  ['2 is in Learners and Voters[0]', { incoming: ids(2), learners: ids(2) }, progressOf([], [2])],
  ['2 is in Learners, but is not marked as learner', { learners: ids(2) }, progressOf([2])],
  [
    'AutoLeave must be false when not joint',
    { incoming: ids(1), autoLeave: true },
    progressOf([1]),
  ],
  [undefined, { incoming: ids(1), learners: ids(2) }, progressOf([1], [2])],
] as const

for (const [text, part, progress] of cases) {
  test(text ?? 'a sound membership breaks no rule', () => {
    expect(brokenRule({ config: { ...EMPTY_CONFIG, ...part }, progress })).toBe(text)
  })
}

test('a joint change that removes everybody is refused', () => {
  const membership = { config: { ...EMPTY_CONFIG, incoming: ids(1) }, progress: progressOf([1]) }
  const changer = new ConfChanger(tracker, logIndex(1), membership)
  const remove = { type: 'ConfChangeRemoveNode', nodeId: memberId(1n) } as const
  expect(changer.enterJoint(false, [remove])).toBe('removed all voters')
})

test('changes take the path that their transition and number ask for', () => {
  const change = { type: 'ConfChangeAddNode', nodeId: memberId(1n) } as const
  const context = new Uint8Array(0)
  const auto = 'ConfChangeTransitionAuto'
  expect(pathOf({ transition: auto, changes: [], context })).toBe('leave-joint')
  expect(pathOf({ transition: auto, changes: [change], context })).toBe('simple')
  expect(pathOf({ transition: auto, changes: [change, change], context })).toBe('joint-auto-leave')
  const implicit = 'ConfChangeTransitionJointImplicit'
  expect(pathOf({ transition: implicit, changes: [change], context })).toBe('joint-auto-leave')
  const explicit = 'ConfChangeTransitionJointExplicit'
  expect(pathOf({ transition: explicit, changes: [], context })).toBe('joint-explicit-leave')
  expect(describeConfChange({ id: 7n, ...change, context })).toBe(
    'id:7 type:ConfChangeAddNode node_id:1',
  )
})
