import { expect, test } from 'vitest'
import { leaseId } from '../../src/base/ids.js'
import { Lessor } from '../../src/lease/lessor.js'
import { LeaseKeeper } from '../../src/member/lease-keeper.js'

// Goal: a leader that stood still and has a successor does neither revoke nor renew leases on its own word. Found by the
// simulator (seed 1200). Method: the keeper over a lessor that believes to be primary, and a quorum that knows better.
function setup() {
  const lessor = new Lessor({ minimumTtl: 2 })
  const proposed: string[] = []
  const forwarded: bigint[] = []
  const clock = { nowMs: 0 }
  const questions: ((isLeading: boolean) => void)[] = []
  const keeper = new LeaseKeeper({
    lessor: () => lessor,
    nowMs: () => clock.nowMs,
    propose: (operation) => proposed.push(operation),
    confirmLeadership: (done) => questions.push(done),
    tickMs: 100,
    forward: (id) => forwarded.push(id),
  })
  lessor.promote(0, 0)
  lessor.grant(leaseId(7n), 2, 0)
  keeper.tick()
  return { keeper, clock, proposed, forwarded, questions }
}

test('what ended is revoked only when a quorum says that this member leads', () => {
  const { keeper, clock, proposed, questions } = setup()
  clock.nowMs = 5000
  keeper.tick()
  expect([questions.length, proposed]).toEqual([1, []])
  questions.shift()?.(false)
  expect(proposed).toEqual([])
  clock.nowMs = 15_000
  keeper.tick()
  questions.shift()?.(true)
  expect(proposed).toEqual(['leaseRevoke'])
})

test('an answer that comes when it was deposed and leads again revokes nothing', () => {
  const { keeper, clock, proposed, questions } = setup()
  clock.nowMs = 5000
  keeper.tick()
  keeper.onDemoted()
  questions.shift()?.(true)
  expect(proposed).toEqual([])
})

test('a member that stood still asks before it renews, and asks the leader when it is not', () => {
  const { keeper, clock, forwarded, questions } = setup()
  const answers: string[] = []
  clock.nowMs = 200
  keeper.renew(leaseId(7n), (answer) => answers.push(answer.kind))
  expect(answers).toEqual(['renewed'])
  clock.nowMs = 1900
  keeper.renew(leaseId(7n), (answer) => answers.push(answer.kind))
  keeper.renew(leaseId(7n), (answer) => answers.push(answer.kind))
  expect(answers).toEqual(['renewed'])
  questions.shift()?.(true)
  questions.shift()?.(false)
  expect(answers).toEqual(['renewed', 'renewed'])
  expect(forwarded).toEqual([7n])
})
