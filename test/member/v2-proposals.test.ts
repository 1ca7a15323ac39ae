// Goal: an entry of the v2 API is applied as what was proposed only if it is that very payload, and its
// texts survive their bytes. Method: an intake over a core that only keeps what it is given.
import { describe, expect, test } from 'vitest'
import { type MemberId, requestId } from '../../src/base/ids.js'
import { Intake, type IntakeHost } from '../../src/member/intake.js'
import { Proposals } from '../../src/member/proposals.js'
import { V2Request } from '../../src/wire/v2-request.js'

const put = (Val: string): V2Request => V2Request.create({ Method: 'PUT', Path: '/1/a', Val })

function createIntake(): { intake: Intake; proposals: Proposals; datas: Uint8Array[] } {
  const proposals = new Proposals()
  const datas: Uint8Array[] = []
  let ids = 0n
  const host = {
    settings: { electionTimeoutMs: 1000 },
    node: {
      propose: (given: readonly Uint8Array[]) => {
        datas.push(...given)
        return 'ok'
      },
    },
    clock: { monotonicMs: () => 0, wallMs: () => 0 },
    ids: { next: () => requestId(++ids) },
    leadership: { leaderId: 1n as MemberId },
    proposals,
    refusal: () => undefined,
    onQueued: () => undefined,
  }
  return { intake: new Intake(host as unknown as IntakeHost), proposals, datas }
}

describe('a v2 entry', () => {
  test('that was proposed here is known without decoding it', () => {
    const { intake, proposals, datas } = createIntake()
    intake.proposeV2(put('x'), () => undefined)
    intake.submit()
    const [data = new Uint8Array(0)] = datas
    expect(proposals.v2Proposal(data)).toMatchObject({ id: 1n, v2: { Path: '/1/a', Val: 'x' } })
    expect(V2Request.decode(data)).toEqual({ ...put('x'), ID: 1n })
    proposals.settle(requestId(1n), { kind: 'failed', code: 'TIMEOUT' })
    expect(proposals.v2Proposal(data)).toBeUndefined()
  })

  test('with the same id in other bytes is not, nor one of v3 or none', () => {
    const { intake, proposals, datas } = createIntake()
    intake.proposeV2(put('x'), () => undefined)
    intake.propose('put', new Uint8Array(3), () => undefined)
    intake.submit()
    expect(proposals.v2Proposal(Uint8Array.from(datas[0] ?? []))).toBeUndefined()
    expect(proposals.v2Proposal(datas[1] ?? new Uint8Array(0))).toBeUndefined()
    expect(proposals.v2Proposal(new Uint8Array(0))).toBeUndefined()
  })

  test('whose text is not Unicode is decoded, so that all members have the same', () => {
    const { intake, proposals, datas } = createIntake()
    for (const value of ['\ud800', 'a\udc00b', '😀']) {
      intake.proposeV2(put(value), () => undefined)
    }
    intake.submit()
    expect(datas.map((data) => proposals.v2Proposal(data)?.v2.Val)).toEqual([
      undefined,
      undefined,
      '😀',
    ])
  })
})
