/** The rules of leases one by one; time is whatever the test says it is. */
import { describe, expect, test } from 'vitest'
import { leaseId } from '../../src/base/ids.js'
import { leaseRowKey, parseLeaseRow } from '../../src/lease/lease-row.js'
import { Lessor } from '../../src/lease/lessor.js'
import {
  CHECKPOINT_INTERVAL_MS,
  LEASE_TTL_MAX,
  minimumLeaseTtl,
  REVOKE_RETRY_MS,
  SPREAD_LEASES_PER_SECOND,
} from '../../src/lease/limits.js'

const id = (value: number): ReturnType<typeof leaseId> => leaseId(BigInt(value))
const primary = (options: { checkpoints?: boolean } = {}): Lessor => {
  const lessor = new Lessor({ minimumTtl: 2, ...options })
  lessor.promote(0, 0)
  return lessor
}

describe('granting', () => {
  test('gives the TTL that was asked for, raised to the minimum', () => {
    const lessor = primary()
    expect(lessor.grant(id(1), 60, 0)).toEqual({ kind: 'granted', ttl: 60 })
    expect(lessor.grant(id(2), 1, 0)).toEqual({ kind: 'granted', ttl: 2 })
    expect(lessor.grant(id(3), 0, 0)).toEqual({ kind: 'granted', ttl: 2 })
    expect(lessor.grant(id(4), -5, 0)).toEqual({ kind: 'granted', ttl: 2 })
    expect(lessor.grant(id(5), LEASE_TTL_MAX, 0)).toEqual({ kind: 'granted', ttl: LEASE_TTL_MAX })
    expect([lessor.size, lessor.grantedCount]).toEqual([5, 5])
  })

  test('refuses an id in use, no id, and a TTL beyond the maximum', () => {
    const lessor = primary()
    lessor.grant(id(1), 60, 0)
    const codeOf = (value: number, ttl: number): string => {
      const outcome = lessor.grant(id(value), ttl, 0)
      return outcome.kind === 'refused' ? outcome.code : outcome.kind
    }
    expect(codeOf(1, 60)).toBe('LEASE_EXISTS')
    expect(codeOf(0, 60)).toBe('LEASE_NOT_FOUND')
    expect(codeOf(2, LEASE_TTL_MAX + 1)).toBe('LEASE_TTL_TOO_LARGE')
    expect(lessor.size).toBe(1)
  })

  test('has a minimum of one and a half election timeouts, in whole seconds upwards', () => {
    expect([1_000, 100, 2_000, 50_000].map(minimumLeaseTtl)).toEqual([2, 1, 3, 75])
  })
})

describe('keys', () => {
  test('hang on one lease at a time and are listed bytewise', () => {
    const lessor = primary()
    lessor.grant(id(1), 60, 0)
    lessor.grant(id(2), 60, 0)
    for (const key of ['b', 'a', '\xff', 'B', 'a\0', 'ab']) lessor.attach(id(1), key)
    lessor.attach(id(1), 'a')
    expect(lessor.keysOf(id(1))).toEqual(['B', 'a', 'a\0', 'ab', 'b', '\xff'])
    lessor.attach(id(2), 'a')
    expect(lessor.leaseOf('a')).toBe(2n)
    expect(lessor.keysOf(id(2))).toEqual(['a'])
    expect(lessor.keysOf(id(1))).not.toContain('a')
    lessor.detach(id(1), 'a')
    expect(lessor.leaseOf('a')).toBe(2n)
    lessor.detach(id(2), 'a')
    lessor.detach(id(2), 'a')
    expect([lessor.leaseOf('a'), lessor.keysOf(id(2)), lessor.attachedKeyCount]).toEqual([
      0n,
      [],
      5,
    ])
  })

  test('do not hang on leases that do not exist', () => {
    const lessor = primary()
    lessor.attach(id(9), 'a')
    expect([lessor.leaseOf('a'), lessor.keysOf(id(9))]).toEqual([0n, []])
  })

  test('are free after a revoke', () => {
    const lessor = primary()
    lessor.grant(id(1), 60, 0)
    lessor.attach(id(1), 'a')
    expect(lessor.revoke(id(1))).toBe(true)
    expect(lessor.revoke(id(1))).toBe(false)
    expect([lessor.leaseOf('a'), lessor.has(id(1)), lessor.attachedKeyCount]).toEqual([
      0n,
      false,
      0,
    ])
    expect([lessor.revokedCount, lessor.expired(1e9)]).toEqual([1, []])
  })
})

describe('keep-alive', () => {
  test('fills the lease up; the heap follows by itself', () => {
    const lessor = primary()
    lessor.grant(id(1), 10, 0)
    for (let nowMs = 5_000; nowMs <= 50_000; nowMs += 5_000) {
      expect(lessor.renew(id(1), nowMs)).toBe('renewed')
      expect(lessor.expired(nowMs)).toEqual([])
    }
    expect(lessor.timeToLive(id(1), 50_000)).toEqual({ grantedTtl: 10, remaining: 10 })
    expect(lessor.expired(59_999)).toEqual([])
    expect(lessor.nextExpiryInMs(59_999)).toBe(1)
    expect(lessor.expired(60_000)).toEqual([1n])
    expect(lessor.renewedCount).toBe(10)
  })

  test('of an ended lease waits for its revoke', () => {
    const lessor = primary()
    lessor.grant(id(1), 10, 0)
    expect(lessor.renew(id(1), 10_000)).toBe('awaiting-revoke')
    expect(lessor.timeToLive(id(1), 10_500)).toEqual({ grantedTtl: 10, remaining: 0 })
    expect(lessor.timeToLive(id(1), 11_500)).toEqual({ grantedTtl: 10, remaining: -1 })
    lessor.revoke(id(1))
    expect(lessor.renew(id(1), 10_000)).toBe('not-found')
    expect(lessor.timeToLive(id(1), 10_000)).toBeUndefined()
    lessor.grant(id(1), 10, 20_000)
    lessor.demote()
    expect(lessor.renew(id(1), 20_000)).toBe('not-primary')
  })

  test('right after a promotion may end the lease sooner than the promotion said', () => {
    const lessor = new Lessor({ minimumTtl: 2 })
    lessor.grant(id(1), 10, 0)
    lessor.grant(id(2), 10, 0)
    lessor.promote(60_000, 0)
    lessor.renew(id(2), 1_000)
    expect(lessor.list()).toEqual([2n, 1n])
    expect(lessor.expired(11_000)).toEqual([2n])
    expect(lessor.expired(69_999)).toEqual([2n])
    expect(lessor.expired(70_000)).toEqual([1n])
  })
})

describe('expiry', () => {
  test('hands out those that ended first, at most so many, and again when still there', () => {
    const lessor = primary()
    for (let at = 10; at >= 1; at--) lessor.grant(id(at), at + 1, 0)
    expect(lessor.expired(2_500, 3)).toEqual([1n])
    expect(lessor.expired(6_000, 3)).toEqual([2n, 3n, 4n])
    lessor.revoke(id(2))
    expect(lessor.expired(6_000, 3)).toEqual([1n, 5n])
    expect(lessor.expired(6_000)).toEqual([])
    expect(lessor.expired(6_000 + REVOKE_RETRY_MS).sort()).toEqual([1n, 3n, 4n, 5n, 6n, 7n, 8n])
  })

  test('is unlimited only by the caller: 500 a pass', () => {
    const lessor = primary()
    for (let at = 1; at <= 1_200; at++) lessor.grant(id(at), 2, 0)
    expect([1, 2, 3, 4].map(() => lessor.expired(5_000).length)).toEqual([500, 500, 200, 0])
  })

  test('is the leader’s business alone', () => {
    const lessor = new Lessor({ minimumTtl: 2 })
    lessor.grant(id(1), 2, 0)
    expect([lessor.expired(1e12), lessor.nextExpiryInMs(0)]).toEqual([[], Number.POSITIVE_INFINITY])
    expect(lessor.timeToLive(id(1), 0)?.remaining).toBe(Number.POSITIVE_INFINITY)
    lessor.promote(1_000, 100_000)
    expect(lessor.expired(102_999)).toEqual([])
    expect(lessor.expired(103_000)).toEqual([1n])
    lessor.demote()
    expect([lessor.expired(1e12), lessor.isPrimary]).toEqual([[], false])
  })

  test('lists leases by their end, then by id; by id alone on a follower', () => {
    const lessor = primary()
    lessor.grant(id(3), 10, 0)
    lessor.grant(id(1), 20, 0)
    lessor.grant(id(2), 10, 0)
    lessor.grant(leaseId(-7n), 30, 0)
    expect(lessor.list()).toEqual([2n, 3n, 1n, -7n])
    lessor.demote()
    expect(lessor.list()).toEqual([-7n, 1n, 2n, 3n])
  })
})

describe('a new leader', () => {
  test('spreads ends that piled up, to 750 in any second, and shortens none', () => {
    const lessor = new Lessor({ minimumTtl: 2 })
    for (let at = 1; at <= 4_000; at++) lessor.grant(id(at), at % 10 === 0 ? 60 : 10, 0)
    lessor.promote(1_000, 0)
    const ends: number[] = []
    for (let nowMs = 0; ends.length < 4_000; nowMs += 100) {
      for (const one of lessor.expired(nowMs, 10_000)) {
        ends.push(nowMs)
        expect(nowMs).toBeGreaterThanOrEqual(Number(one) % 10 === 0 ? 61_000 : 11_000)
        lessor.revoke(one)
      }
    }
    for (let at = SPREAD_LEASES_PER_SECOND; at < ends.length; at++) {
      const ahead = ends[at - SPREAD_LEASES_PER_SECOND] ?? 0
      expect((ends[at] ?? 0) - ahead).toBeGreaterThanOrEqual(1_000)
    }
    expect(ends.filter((end) => end < 61_000)).toHaveLength(3_600)
    expect(ends.at(-1)).toBe(61_000)
  })

  test('leaves up to 1,000 leases alone', () => {
    const lessor = new Lessor({ minimumTtl: 2 })
    for (let at = 1; at <= 1_000; at++) lessor.grant(id(at), 10, 0)
    lessor.promote(0, 0)
    expect(lessor.expired(10_000, 10_000)).toHaveLength(1_000)
  })

  test('starts from the checkpoint, and from the full TTL without one', () => {
    const lessor = new Lessor({ minimumTtl: 2 })
    lessor.grant(id(1), 1_000, 0)
    lessor.grant(id(2), 1_000, 0)
    expect(lessor.checkpoint(id(1), 300, 0)).toBe(true)
    expect(lessor.checkpoint(id(9), 300, 0)).toBe(false)
    lessor.promote(1_000, 0)
    expect(lessor.timeToLive(id(1), 0)).toEqual({ grantedTtl: 1_000, remaining: 301 })
    expect(lessor.timeToLive(id(2), 0)).toEqual({ grantedTtl: 1_000, remaining: 1_001 })
  })
})

describe('checkpoints', () => {
  test('come every five minutes for leases with more than that left', () => {
    const lessor = primary({ checkpoints: true })
    lessor.grant(id(1), 1_000, 0)
    lessor.grant(id(2), 300, 0)
    expect(lessor.dueCheckpoints(CHECKPOINT_INTERVAL_MS - 1)).toEqual([])
    expect(lessor.dueCheckpoints(300_000)).toEqual([{ ID: 1n, remaining_TTL: 700 }])
    expect(lessor.dueCheckpoints(300_000)).toEqual([])
    lessor.checkpoint(id(1), 700, 300_100)
    expect(lessor.dueCheckpoints(600_099)).toEqual([])
    expect(lessor.dueCheckpoints(600_100)).toEqual([{ ID: 1n, remaining_TTL: 400 }])
    lessor.checkpoint(id(1), 400, 600_200)
    expect(lessor.dueCheckpoints(900_200)).toEqual([{ ID: 1n, remaining_TTL: 100 }])
    lessor.checkpoint(id(1), 100, 900_300)
    expect(lessor.dueCheckpoints(10_000_000)).toEqual([])
  })

  test('are taken back by the next keep-alive, also one that is still under way', () => {
    const lessor = primary({ checkpoints: true })
    lessor.grant(id(1), 1_000, 0)
    expect(lessor.renew(id(1), 1_000)).toBe('renewed')
    lessor.dueCheckpoints(300_000)
    expect(lessor.renew(id(1), 301_000)).toBe('renewed-uncheckpoint')
    lessor.checkpoint(id(1), 701, 301_500)
    expect(lessor.renew(id(1), 302_000)).toBe('renewed-uncheckpoint')
    lessor.checkpoint(id(1), 0, 302_500)
    expect(lessor.renew(id(1), 303_000)).toBe('renewed')
    expect(lessor.timeToLive(id(1), 303_000)?.remaining).toBe(1_000)
  })

  test('are put off for a lease that is full, and left out for one that ended', () => {
    const lessor = primary({ checkpoints: true })
    lessor.grant(id(1), 1_000, 0)
    lessor.grant(id(2), 301, 0)
    lessor.renew(id(1), 300_000)
    expect(lessor.dueCheckpoints(301_000 - 500)).toEqual([{ ID: 2n, remaining_TTL: 1 }])
    expect(lessor.dueCheckpoints(600_000)).toEqual([])
    expect(lessor.dueCheckpoints(600_500)).toEqual([{ ID: 1n, remaining_TTL: 700 }])
    lessor.grant(id(3), 301, 700_000)
    expect(lessor.dueCheckpoints(5_000_000)).toEqual([])
  })

  test('come in batches, and not at all on a follower or when they are off', () => {
    const lessor = primary({ checkpoints: true })
    for (let at = 1; at <= 1_500; at++) lessor.grant(id(at), 1_000, 0)
    expect([1, 2, 3].map(() => lessor.dueCheckpoints(300_000).length)).toEqual([1_000, 500, 0])
    lessor.demote()
    expect(lessor.dueCheckpoints(1e9)).toEqual([])
    const without = primary()
    without.grant(id(1), 1_000, 0)
    expect(without.dueCheckpoints(1e9)).toEqual([])
  })
})

describe('rows', () => {
  test('have the key in eight bytes, big-endian, and a leasepb.Lease as value', () => {
    expect(Buffer.from(leaseRowKey(leaseId(0x0102030405060708n))).toString('hex')).toBe(
      '0102030405060708',
    )
    expect(Buffer.from(leaseRowKey(leaseId(-2n))).toString('hex')).toBe('fffffffffffffffe')
    const lessor = primary()
    lessor.grant(id(5), 60, 0)
    lessor.checkpoint(id(5), 7, 0)
    const row = lessor.rowOf(id(5)) ?? new Uint8Array()
    expect(Buffer.from(row).toString('hex')).toBe('0805103c1807')
    expect(parseLeaseRow(row)).toEqual({ ID: 5n, TTL: 60, RemainingTTL: 7 })
    expect(lessor.rowOf(id(6))).toBeUndefined()
  })

  test('restore the leases; keys come from the store', () => {
    const lessor = primary()
    lessor.grant(id(1), 60, 0)
    lessor.attach(id(1), 'a')
    lessor.restore([
      { ID: id(3), TTL: 1, RemainingTTL: 0 },
      { ID: id(2), TTL: 100, RemainingTTL: 40 },
    ])
    expect([lessor.has(id(1)), lessor.leaseOf('a'), lessor.isPrimary]).toEqual([false, 0n, false])
    lessor.attach(id(2), 'b')
    expect(lessor.keysOf(id(2))).toEqual(['b'])
    expect([lessor.ttlOf(id(3)), lessor.ttlOf(id(4))]).toEqual([2, undefined])
    expect(lessor.rows()).toEqual([
      { ID: 2n, TTL: 100, RemainingTTL: 40 },
      { ID: 3n, TTL: 2, RemainingTTL: 0 },
    ])
    lessor.promote(0, 0)
    expect(lessor.timeToLive(id(2), 0)?.remaining).toBe(40)
  })
})
