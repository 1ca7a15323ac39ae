// Goal: what a leader decided by itself is not proposed by it after it was deposed and elected again: a lease that was
// renewed meanwhile would end. Method: an intake over a core that takes nothing until it is told to.
import { expect, test } from 'vitest'
import { type MemberId, requestId } from '../../src/base/ids.js'
import { Intake, type IntakeHost } from '../../src/member/intake.js'
import { type ProposalOutcome, Proposals } from '../../src/member/proposals.js'
import { LeaseRevokeRequest, PutRequest } from '../../src/wire/rpc.js'

test('what waits for raft ends with the leadership that it came from, and nothing else does', () => {
  let isTaking = false
  let taken = 0
  let ids = 0n
  const host = {
    settings: { electionTimeoutMs: 1000, requestBytesMax: 1000 },
    node: {
      propose: (datas: readonly Uint8Array[]) => {
        if (isTaking) taken += datas.length
        return isTaking ? 'ok' : 'dropped'
      },
    },
    clock: { monotonicMs: () => 0, wallMs: () => 0 },
    ids: { next: () => requestId(++ids) },
    leadership: { leaderId: 1n as MemberId },
    proposals: new Proposals(),
    refusal: () => undefined,
    onQueued: () => undefined,
  }
  const intake = new Intake(host as unknown as IntakeHost)
  const outcomes: ProposalOutcome[] = []
  const note = (outcome: ProposalOutcome): void => {
    outcomes.push(outcome)
  }
  intake.propose('put', PutRequest.encode({}), note)
  intake.proposeAsLeader('leaseRevoke', LeaseRevokeRequest.encode({ ID: 7n as never }), note)
  intake.submit()
  intake.onDemoted()
  expect(outcomes).toEqual([{ kind: 'failed', code: 'NOT_LEADER' }])
  isTaking = true
  intake.submit()
  expect(taken).toBe(1)
})
