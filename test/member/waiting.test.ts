// Goal: whoever waits for a proposal, a read, a compaction or a lease hears exactly once how it ended. Method: each
// keeper alone, with time as a number.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  leaseId,
  logIndex,
  memberId,
  type RequestId,
  requestId,
  revision,
} from '../../src/base/ids.js'
import { Lessor } from '../../src/lease/lessor.js'
import { Compactor } from '../../src/member/compactor.js'
import { LeaseKeeper } from '../../src/member/lease-keeper.js'
import type { LeaseAnswer } from '../../src/member/member-parts.js'
import { type ProposalOutcome, Proposals } from '../../src/member/proposals.js'
import { Reads } from '../../src/member/reads.js'
import { RequestIds } from '../../src/member/request-ids.js'
import type { MvccStore } from '../../src/mvcc/mvcc-store.js'
import { systemEntropy } from '../../src/platform/system.js'
import type { Entropy } from '../../src/ports/clock.js'
import { LeaseCheckpointRequest, LeaseRevokeRequest } from '../../src/wire/rpc.js'
import { ManualScheduler } from './loop-group.js'

/** Draws these numbers one after the other, and then no more. */
const drawn = (...numbers: readonly number[]): Entropy => {
  const rest = [...numbers]
  return { below: () => rest.shift() ?? Number.NaN }
}
const ids = new RequestIds(memberId(0xc9f751f0b0b4fa5an), drawn(0, 0))

describe('RequestIds', () => {
  test('are two bytes of the member and six that count on from what is drawn', () => {
    const made = new RequestIds(memberId(0xc9f751f0b0b4fa5an), drawn(0x123456, 0x789a00))
    expect(made.next()).toBe(0xfa5a_1234_5678_9a01n)
    expect(made.next()).toBe(0xfa5a_1234_5678_9a02n)
    for (let count = 0; count < 300; count++) made.next()
    expect(made.next()).toBe(0xfa5a_1234_5678_9b2fn)
    expect(Buffer.from(made.nextBytes()).toString('hex')).toBe('fa5a123456789b30')
  })

  test('keep the bytes of the member when the counter runs over', () => {
    const made = new RequestIds(memberId(1n), drawn(0xff_ffff, 0xff_ffff))
    expect(made.next()).toBe(0x0001_0000_0000_0000n)
  })

  test('begin elsewhere at each start, whatever the clock says', () => {
    const id = memberId(0xc9f751f0b0b4fa5an)
    const first = new Set(
      Array.from({ length: 100 }, () => new RequestIds(id, systemEntropy).next()),
    )
    expect(first.size).toBe(100)
  })
})

describe('Proposals', () => {
  const outcomes: string[] = []
  const add = (proposals: Proposals, name: string, deadlineMs: number) => {
    const id = ids.next()
    proposals.add({
      id,
      data: new Uint8Array(0),
      startedMs: 0,
      deadlineMs,
      done: (outcome: ProposalOutcome) =>
        outcomes.push(`${name} ${outcome.kind === 'failed' ? outcome.code : outcome.kind}`),
    })
    return id
  }

  test('are settled once, in any order', () => {
    outcomes.length = 0
    const proposals = new Proposals()
    const [a, b] = [add(proposals, 'a', 10), add(proposals, 'b', 10)]
    expect(proposals.count).toBe(2)
    expect(proposals.get(a)?.id).toBe(a)
    const applied = { kind: 'applied', response: {}, revision: revision(2) } as const
    proposals.settle(b, applied)
    proposals.settle(b, applied)
    proposals.settle(a, { kind: 'failed', code: 'NO_SPACE' })
    expect(outcomes).toEqual(['b applied', 'a NO_SPACE'])
    expect([proposals.count, proposals.get(a)]).toEqual([0, undefined])
  })

  test('fail at their deadline, oldest first, and all at the end', () => {
    outcomes.length = 0
    const proposals = new Proposals()
    for (const [name, deadline] of [
      ['a', 10],
      ['b', 20],
      ['c', 30],
    ] as const) {
      add(proposals, name, deadline)
    }
    proposals.expire(9, () => 'TIMEOUT')
    expect(outcomes).toEqual([])
    proposals.expire(20, () => 'TIMEOUT')
    expect(outcomes).toEqual(['a TIMEOUT', 'b TIMEOUT'])
    proposals.failAll('STOPPED')
    expect(outcomes.at(-1)).toBe('c STOPPED')
  })

  test('come and go as in a Map, in order, with many in a bucket', () => {
    // Ids that share their lowest bits, as those of other members and of other starts may.
    const id = fc.nat(600).map((at) => requestId(BigInt(at % 300) | (BigInt(at) << 40n)))
    const step = fc.tuple(fc.constantFrom('add', 'add', 'add', 'add', 'settle', 'expire'), id)
    fc.assert(
      fc.property(fc.array(step, { maxLength: 500, size: 'max' }), (steps) => {
        const proposals = new Proposals()
        const twin = new Map<RequestId, number>()
        const ended: RequestId[] = []
        const failed = { kind: 'failed', code: 'TIMEOUT' } as const
        let nowMs = 0
        for (const [what, id] of steps) {
          nowMs++
          const done = () => ended.push(id)
          const proposal = { id, data: new Uint8Array(0), startedMs: 0, deadlineMs: nowMs, done }
          const before = [...twin.keys()]
          ended.length = 0
          if (what === 'add' && !twin.has(id)) {
            proposals.add(proposal)
            twin.set(id, nowMs)
          } else if (what === 'expire') {
            const late = before.filter((other) => (twin.get(other) ?? 0) <= nowMs - 400)
            proposals.expire(nowMs - 400, () => 'TIMEOUT')
            expect(ended).toEqual(late)
            for (const other of late) twin.delete(other)
          } else {
            proposals.settle(id, failed)
            expect(ended).toEqual(twin.delete(id) ? [id] : [])
          }
          expect(proposals.count).toBe(twin.size)
          expect(proposals.get(id) !== undefined).toBe(twin.has(id))
        }
        ended.length = 0
        proposals.failAll('STOPPED')
        expect(ended).toEqual([...twin.keys()])
        expect(proposals.count).toBe(0)
      }),
      { numRuns: 40 },
    )
  })

  test('refuse an id that is in use', () => {
    const proposals = new Proposals()
    const proposal = {
      id: ids.next(),
      data: new Uint8Array(0),
      startedMs: 0,
      deadlineMs: 0,
      done: () => undefined,
    }
    proposals.add(proposal)
    expect(() => proposals.add(proposal)).toThrow('request ids must be unique')
  })
})

describe('Reads', () => {
  function setup() {
    const asked: number[] = []
    const ended: string[] = []
    const counts = { slow: 0, failed: 0 }
    let next = 0
    const reads = new Reads({
      nextContext: () => new Uint8Array([++next]),
      ask: (context) => asked.push(context[0] ?? 0),
      onSlow: () => counts.slow++,
      onFailed: () => counts.failed++,
    })
    const add = (name: string, deadlineMs = 7000): void =>
      reads.add((code) => ended.push(`${name} ${code ?? 'ok'}`), deadlineMs)
    return { reads, asked, ended, counts, add }
  }
  const context = (value: number): Uint8Array => new Uint8Array([value])

  test('share one question, and those that come meanwhile share the next', () => {
    const { reads, asked, ended, add } = setup()
    add('a')
    add('b')
    reads.startRound(0)
    add('c')
    reads.startRound(0)
    expect([asked, reads.waitingCount, reads.wantsRound]).toEqual([[1], 3, false])
    reads.onAnswer(context(1), logIndex(5))
    expect(reads.wantsRound).toBe(true)
    reads.startRound(0)
    expect(asked).toEqual([1, 2])
    reads.onApplied(logIndex(4))
    expect(ended).toEqual([])
    reads.onApplied(logIndex(5))
    expect(ended).toEqual(['a ok', 'b ok'])
  })

  test('ask nothing when nobody reads, and ignore answers that nobody waits for', () => {
    const { reads, asked, ended, add } = setup()
    reads.startRound(0)
    reads.onAnswer(context(9), logIndex(1))
    add('a')
    reads.startRound(0)
    reads.onAnswer(context(9), logIndex(1))
    reads.onAnswer(new Uint8Array([1, 1]), logIndex(1))
    reads.onApplied(logIndex(100))
    expect([asked, ended]).toEqual([[1], []])
  })

  test('ask again each half second', () => {
    const { reads, asked, counts, add } = setup()
    add('a')
    reads.startRound(0)
    reads.tick(499, 'TIMEOUT')
    expect(asked).toEqual([1])
    reads.tick(500, 'TIMEOUT')
    reads.tick(999, 'TIMEOUT')
    reads.tick(1000, 'TIMEOUT')
    expect([asked, counts.slow]).toEqual([[1, 1, 1], 2])
  })

  test('fail at their deadline wherever they wait, with the reason', () => {
    const { reads, ended, counts, add } = setup()
    add('applying', 100)
    add('later', 900)
    reads.startRound(0)
    reads.onAnswer(context(1), logIndex(5))
    add('asking', 100)
    reads.startRound(0)
    add('queued', 100)
    reads.tick(100, 'NO_LEADER')
    expect(ended).toEqual(['queued NO_LEADER', 'asking NO_LEADER', 'applying TIMEOUT_WAIT_APPLIED'])
    expect([counts.failed, reads.waitingCount]).toEqual([3, 1])
    reads.onApplied(logIndex(5))
    expect(ended.at(-1)).toBe('later ok')
  })

  test('give a question up when nobody waits for it any more', () => {
    const { reads, asked, add } = setup()
    add('a', 100)
    reads.startRound(0)
    reads.tick(100, 'TIMEOUT')
    add('b')
    reads.startRound(100)
    expect(asked).toEqual([1, 2])
  })

  test('that were put to a leader fail when it changes; others wait for the next', () => {
    const { reads, ended, add } = setup()
    add('answered')
    reads.startRound(0)
    reads.onAnswer(context(1), logIndex(5))
    add('asking')
    reads.startRound(0)
    add('queued')
    reads.onLeaderChange()
    reads.onLeaderChange()
    expect(ended).toEqual(['asking LEADER_CHANGED'])
    expect(reads.wantsRound).toBe(true)
    reads.failAll('STOPPED')
    expect(ended.slice(1)).toEqual(['queued STOPPED', 'answered STOPPED'])
    expect(reads.waitingCount).toBe(0)
  })

  test('wait for the oldest rounds when too many are answered but not applied', () => {
    const { reads, asked, add } = setup()
    for (let round = 1; round <= 1024; round++) {
      add('a')
      reads.startRound(0)
      reads.onAnswer(context(round), logIndex(round))
    }
    add('one more')
    expect(reads.wantsRound).toBe(false)
    reads.onApplied(logIndex(1))
    expect([reads.wantsRound, asked.length]).toEqual([true, 1024])
  })
})

describe('Compactor', () => {
  test('frees rows in slices with pauses, and tells who waits for them', () => {
    const scheduler = new ManualScheduler()
    const store = { finishedCompactRevision: -1, left: 0, isCompacting: false }
    const slices: number[] = []
    let isReplacing = false
    const compactor = new Compactor(
      scheduler,
      {
        mayChange: () => !isReplacing,
        current: () =>
          ({
            get isCompacting() {
              return store.left > 0
            },
            get finishedCompactRevision() {
              return store.finishedCompactRevision
            },
            compactSome: (rows: number) => {
              slices.push(rows)
              if (--store.left === 0) store.finishedCompactRevision = 9
            },
          }) as unknown as MvccStore,
      },
      { batchLimit: 100, sleepMs: 10 },
    )
    compactor.poke()
    expect(scheduler.runLater()).toBe(false)
    store.left = 3
    const heard: string[] = []
    compactor.poke()
    compactor.poke()
    compactor.whenFinished(revision(9), () => heard.push('nine'))
    compactor.whenFinished(revision(10), () => heard.push('ten'))
    expect(scheduler.later_.map(({ delayMs }) => delayMs)).toEqual([10])
    scheduler.runLater()
    // Nothing is freed in a store that a received snapshot is about to replace.
    isReplacing = true
    scheduler.runLater()
    expect(slices).toEqual([100])
    isReplacing = false
    scheduler.runLater()
    expect(heard).toEqual([])
    scheduler.runLater()
    expect([slices, heard]).toEqual([[100, 100, 100], ['nine']])
    expect(scheduler.runLater()).toBe(false)
    compactor.whenFinished(revision(9), () => heard.push('at once'))
    expect(heard).toEqual(['nine', 'at once'])
    store.left = 1
    compactor.poke()
    compactor.stop()
    scheduler.runLater()
    expect([slices.length, heard.length]).toEqual([3, 2])
  })
})

describe('LeaseKeeper', () => {
  const id = leaseId(7n)
  function setup(options: { checkpoints?: boolean } = {}) {
    const lessor = new Lessor({ minimumTtl: 2, ...options })
    const proposed: string[] = []
    const answers: string[] = []
    const forwarded: ((answer: LeaseAnswer) => void)[] = []
    const clock = { nowMs: 0 }
    const keeper = new LeaseKeeper({
      lessor: () => lessor,
      nowMs: () => clock.nowMs,
      propose: (operation, encoded) => {
        const shown =
          operation === 'leaseRevoke'
            ? LeaseRevokeRequest.decode(encoded).ID
            : LeaseCheckpointRequest.decode(encoded).checkpoints.map(
                (one) => `${one.ID}:${one.remaining_TTL}`,
              )
        proposed.push(`${operation} ${shown}`)
      },
      forward: (_id, done) => forwarded.push(done),
      confirmLeadership: (done) => done(true),
      tickMs: 100,
    })
    const renew = (): void =>
      keeper.renew(id, (outcome) =>
        answers.push(outcome.kind === 'renewed' ? `${outcome.ttlSeconds} s` : outcome.code),
      )
    return { lessor, keeper, proposed, answers, forwarded, clock, renew }
  }

  test('proposes revokes of what ended, each half second at most, and on the leader only', () => {
    const { lessor, keeper, proposed, clock } = setup()
    lessor.grant(id, 2, 0)
    clock.nowMs = 10_000
    keeper.tick()
    expect(proposed).toEqual([])
    lessor.promote(0, 10_000)
    clock.nowMs = 11_900
    keeper.tick()
    clock.nowMs = 12_100
    keeper.tick()
    expect(proposed).toEqual([])
    clock.nowMs = 12_400
    keeper.tick()
    expect([proposed, keeper.expiredCount]).toEqual([['leaseRevoke 7'], 1])
  })

  test('renews on the leader, and carries the rest to it', () => {
    const { lessor, answers, forwarded, renew } = setup()
    lessor.grant(id, 60, 0)
    renew()
    expect(forwarded).toHaveLength(1)
    forwarded[0]?.({ kind: 'renewed', ttlSeconds: 60 })
    lessor.promote(0, 0)
    renew()
    lessor.revoke(id)
    renew()
    expect(answers).toEqual(['60 s', '60 s', 'LEASE_NOT_FOUND'])
  })

  test('writes a checkpoint of what is left, and takes it back on renewal', () => {
    const { lessor, keeper, proposed, answers, clock, renew } = setup({ checkpoints: true })
    lessor.promote(0, 0)
    lessor.grant(id, 1000, 0)
    clock.nowMs = 300_000
    keeper.tick()
    expect(proposed).toEqual(['leaseCheckpoint 7:700'])
    lessor.checkpoint(id, 700, clock.nowMs)
    renew()
    expect(proposed.at(-1)).toBe('leaseCheckpoint 7:0')
    expect(answers).toEqual(['1000 s'])
  })

  test('lets a renewal wait for a revoke that never comes no longer than for a proposal', () => {
    const { lessor, keeper, answers, clock, renew } = setup()
    lessor.promote(0, 0)
    lessor.grant(id, 2, 0)
    clock.nowMs = 2_500
    for (let at = 0; at < 1_001; at++) renew()
    expect(answers).toEqual(['TOO_MANY_REQUESTS'])
    clock.nowMs = 9_400
    keeper.tick()
    expect(answers).toHaveLength(1)
    clock.nowMs = 9_500
    keeper.tick()
    expect(answers).toHaveLength(1_001)
    expect(new Set(answers.slice(1))).toEqual(new Set(['TIMEOUT']))
  })

  test('lets a renewal that came too late wait for the revoke, or for the next leader', () => {
    for (const end of ['revoked', 'demoted'] as const) {
      const { lessor, keeper, answers, clock, renew } = setup()
      lessor.promote(0, 0)
      lessor.grant(id, 2, 0)
      clock.nowMs = 2_500
      keeper.tick()
      renew()
      renew()
      expect(answers).toEqual([])
      if (end === 'revoked') {
        lessor.revoke(id)
        keeper.onRevoked(id)
        keeper.onRevoked(id)
      } else keeper.onDemoted()
      const code = end === 'revoked' ? 'LEASE_NOT_FOUND' : 'NOT_PRIMARY_LESSOR'
      expect(answers).toEqual([code, code])
    }
  })
})
