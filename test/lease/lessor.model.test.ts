/**
 * Random operations on a lessor and on a naive twin that looks at every lease each time. Also: what
 * follows from the log is equal on a member that never leads, and the same inputs give the same
 * outputs.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { leaseId } from '../../src/base/ids.js'
import { Lessor } from '../../src/lease/lessor.js'
import { REVOKE_RETRY_MS } from '../../src/lease/limits.js'

interface Twin {
  ttl: number
  remainingTtl: number
  expiryMs: number
  /** Not handed out before. */
  retryMs: number
  readonly keys: Set<string>
}

const number = fc.integer({ min: 1, max: 6 })
const key = fc.constantFrom('a', 'b', 'c', 'd')
const step = fc.oneof(
  fc.record({ kind: fc.constant('grant' as const), number, ttl: fc.integer({ min: -1, max: 20 }) }),
  fc.record({ kind: fc.constant('revoke' as const), number }),
  fc.record({ kind: fc.constant('renew' as const), number }),
  fc.record({ kind: fc.constant('checkpoint' as const), number, ttl: fc.nat({ max: 10 }) }),
  fc.record({ kind: fc.constant('attach' as const), number, key }),
  fc.record({ kind: fc.constant('detach' as const), number, key }),
  fc.record({ kind: fc.constant('promote' as const), extendMs: fc.constantFrom(0, 1_000, 30_000) }),
  fc.record({ kind: fc.constant('demote' as const) }),
  fc.record({ kind: fc.constant('expired' as const), max: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ kind: fc.constant('wait' as const), ms: fc.nat({ max: 4_000 }) }),
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** Plays the steps; returns all that the lessor answered. */
function play(steps: readonly Step[]): string[] {
  const lessor = new Lessor({ minimumTtl: 2 })
  const follower = new Lessor({ minimumTtl: 2 })
  const twins = new Map<number, Twin>()
  const answers: string[] = []
  let isPrimary = false
  let nowMs = 0
  const ownerOf = (name: string): number =>
    [...twins].find(([, twin]) => twin.keys.has(name))?.[0] ?? 0
  const run = (one: Step): unknown => {
    switch (one.kind) {
      case 'wait':
        nowMs += one.ms
        return undefined
      case 'promote':
        isPrimary = true
        for (const twin of twins.values()) {
          twin.expiryMs = nowMs + one.extendMs + (twin.remainingTtl || twin.ttl) * 1_000
          twin.retryMs = 0
        }
        lessor.promote(one.extendMs, nowMs)
        return undefined
      case 'demote':
        isPrimary = false
        for (const twin of twins.values()) twin.expiryMs = Number.POSITIVE_INFINITY
        lessor.demote()
        return undefined
      case 'expired': {
        const ended = lessor.expired(nowMs, one.max).map(Number)
        const owed = [...twins].filter(
          ([, twin]) => twin.expiryMs <= nowMs && twin.retryMs <= nowMs,
        )
        expect(ended).toHaveLength(Math.min(owed.length, one.max))
        expect(new Set(ended).size).toBe(ended.length)
        for (const ending of ended) {
          const twin = twins.get(ending)
          expect(twin?.expiryMs).toBeLessThanOrEqual(nowMs)
          if (twin !== undefined) twin.retryMs = nowMs + REVOKE_RETRY_MS
        }
        return ended
      }
      default:
        return runOnLease(one)
    }
  }
  const runOnLease = (
    one: Exclude<Step, { kind: 'wait' | 'promote' | 'demote' | 'expired' }>,
  ): unknown => {
    const id = leaseId(BigInt(one.number))
    const twin = twins.get(one.number)
    switch (one.kind) {
      case 'grant': {
        const outcome = lessor.grant(id, one.ttl, nowMs)
        expect(follower.grant(id, one.ttl, 0)).toEqual(outcome)
        expect(outcome.kind).toBe(twin === undefined ? 'granted' : 'refused')
        if (twin !== undefined) return outcome
        const ttl = Math.max(one.ttl, 2)
        const expiryMs = isPrimary ? nowMs + ttl * 1_000 : Number.POSITIVE_INFINITY
        twins.set(one.number, { ttl, remainingTtl: 0, expiryMs, retryMs: 0, keys: new Set() })
        return outcome
      }
      case 'revoke':
        expect(follower.revoke(id)).toBe(twin !== undefined)
        twins.delete(one.number)
        return lessor.revoke(id)
      case 'renew': {
        const outcome = lessor.renew(id, nowMs)
        if (!isPrimary) expect(outcome).toBe('not-primary')
        else if (twin === undefined) expect(outcome).toBe('not-found')
        else if (twin.expiryMs <= nowMs) expect(outcome).toBe('awaiting-revoke')
        else {
          expect(outcome).toBe(twin.remainingTtl > 0 ? 'renewed-uncheckpoint' : 'renewed')
          twin.expiryMs = nowMs + twin.ttl * 1_000
        }
        return outcome
      }
      case 'checkpoint':
        follower.checkpoint(id, one.ttl, 0)
        if (twin !== undefined) twin.remainingTtl = one.ttl
        return lessor.checkpoint(id, one.ttl, nowMs)
      case 'attach':
        follower.attach(id, one.key)
        lessor.attach(id, one.key)
        if (twin === undefined) return undefined
        twins.get(ownerOf(one.key))?.keys.delete(one.key)
        twin.keys.add(one.key)
        return undefined
      case 'detach':
        follower.detach(id, one.key)
        lessor.detach(id, one.key)
        twin?.keys.delete(one.key)
        return undefined
    }
  }
  for (const one of steps) {
    answers.push(JSON.stringify(run(one)) ?? '')
    compare(lessor, twins, nowMs)
    expect(follower.rows()).toEqual(lessor.rows())
  }
  for (const name of ['a', 'b', 'c', 'd']) {
    expect(Number(lessor.leaseOf(name))).toBe(ownerOf(name))
    expect(follower.leaseOf(name)).toBe(lessor.leaseOf(name))
  }
  return answers
}

function compare(lessor: Lessor, twins: ReadonlyMap<number, Twin>, nowMs: number): void {
  expect(lessor.size).toBe(twins.size)
  const byExpiry = [...twins].sort(
    ([a, one], [b, other]) =>
      (one.expiryMs === other.expiryMs ? 0 : one.expiryMs - other.expiryMs) || a - b,
  )
  expect(lessor.list().map(Number)).toEqual(byExpiry.map(([at]) => at))
  for (const [at, twin] of twins) {
    const id = leaseId(BigInt(at))
    const remaining = lessor.timeToLive(id, nowMs)?.remaining
    expect(remaining).toBe(Math.trunc((twin.expiryMs - nowMs) / 1_000) + 0)
    expect(lessor.keysOf(id)).toEqual([...twin.keys].sort())
  }
}

test('a lessor does what a naive twin does', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120, size: 'max' }), (steps) => {
      expect(play(steps)).toEqual(play(steps))
    }),
    { numRuns: Number(process.env.LEASE_RUNS ?? 150) },
  )
}, 60_000)
