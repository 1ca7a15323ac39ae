// Goal: each operation of a log entry changes what it should and answers as etcd does, under alarms and quota too.
// Method: entries applied one by one to a machine over plain maps.
import { beforeEach, describe, expect, test } from 'vitest'
import { Alarms } from '../../src/apply/alarms.js'
import { LEASE_COST_BYTES, putCost, txnCost } from '../../src/apply/request-cost.js'
import { type Applied, StateMachine } from '../../src/apply/state-machine.js'
import { clusterId, leaseId, memberId, requestId } from '../../src/base/ids.js'
import { Lessor } from '../../src/lease/lessor.js'
import { Membership } from '../../src/membership/membership.js'
import { MvccStore } from '../../src/mvcc/mvcc-store.js'
import type { RowStore } from '../../src/mvcc/rows.js'
import { KeyValue, StoredLease } from '../../src/wire/mvccpb.js'
import { type Operation, openEntry, sealEncoded } from '../../src/wire/raft-envelope.js'
import { InternalRaftRequest, RequestHeader } from '../../src/wire/raft-request.js'
import { AlarmMember, PutRequest, RequestOp, TxnRequest } from '../../src/wire/rpc.js'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const hexOf = (value: Uint8Array): string => Buffer.from(value).toString('hex')
const SELF = memberId(0xaan)

/** Rows as a map; cursors see the rows of their creation. */
class MapRows implements RowStore {
  readonly rows = new Map<string, { main: number; sub: number; dead: boolean; value: Uint8Array }>()
  readonly #meta = new Map<string, Uint8Array>()

  getRow(main: number, sub: number): Uint8Array | undefined {
    const row = this.rows.get(`${main}/${sub}`)
    return row?.dead === false ? row.value : undefined
  }
  getRows(
    mains: readonly number[],
    subs: readonly number[],
    done: (values: readonly (Uint8Array | undefined)[]) => void,
  ): void {
    const values = mains.map((main, at) => this.getRow(main, subs[at] ?? 0))
    setImmediate(() => done(values))
  }
  appendRow(main: number, sub: number, dead: boolean, value: Uint8Array): void {
    this.rows.set(`${main}/${sub}`, { main, sub, dead, value })
  }
  deleteRow(main: number, sub: number): void {
    this.rows.delete(`${main}/${sub}`)
  }
  rowCursor(fromMain: number, toMain: number): ReturnType<RowStore['rowCursor']> {
    const left = [...this.rows.values()].filter(({ main }) => main >= fromMain && main <= toMain)
    return {
      next: (rowsMax, done) => {
        const rows = left.splice(0, rowsMax)
        setImmediate(() =>
          done(rows.map(({ main, sub, dead, value }) => ({ main, sub, isTombstone: dead, value }))),
        )
      },
      close: () => undefined,
    }
  }
  getMeta(key: string): Uint8Array | undefined {
    return this.#meta.get(key)
  }
  putMeta(key: string, value: Uint8Array): void {
    this.#meta.set(key, value)
  }
}

class Parts {
  readonly lessor = new Lessor({ minimumTtl: 2, checkpoints: true })
  readonly rows = new MapRows()
  readonly store = new MvccStore({ rows: this.rows, attachments: this.lessor })
  readonly alarmRows: string[] = []
  readonly alarms = new Alarms({
    putAlarm: (key) => this.alarmRows.push(`put ${hexOf(key)}`),
    deleteAlarm: (key) => this.alarmRows.push(`delete ${hexOf(key)}`),
  })
  readonly membership = new Membership({
    clusterId: clusterId(1n),
    stored: {
      members: [
        { id: SELF, peerUrls: ['http://a:2380'], isLearner: false, name: '', clientUrls: [] },
      ],
      removed: [],
      version: undefined,
    },
  })
  readonly leases = new Map<string, Uint8Array>()
  freeBytes = Number.POSITIVE_INFINITY
  readonly machine: StateMachine

  constructor() {
    this.store.finishRestore()
    this.machine = new StateMachine({
      store: this.store,
      lessor: this.lessor,
      alarms: this.alarms,
      membership: this.membership,
      membershipSinks: {},
      persistsCheckpoints: true,
      leaseRows: {
        putLease: (key, value) => this.leases.set(hexOf(key), value),
        deleteLease: (key) => this.leases.delete(hexOf(key)),
      },
      hasRoomFor: (wanted) => wanted <= this.freeBytes,
    })
  }

  /** Seals the request as an entry, opens it and applies it. */
  apply(operation: Operation, request: object, nowMs = 0): Applied {
    const codec = InternalRaftRequest.fields[operation]?.message?.()
    const header = RequestHeader.create({ ID: requestId(1n) })
    const opened = openEntry(sealEncoded(operation, codec?.encode(request) ?? bytes(''), header))
    if (opened.kind !== 'v3') throw new Error('an entry of v3 was sealed')
    return this.machine.apply(opened, nowMs)
  }

  put(key: string, value = 'v', lease = 0n): Applied {
    return this.apply('put', { key: bytes(key), value: bytes(value), lease: leaseId(lease) })
  }
}

let parts: Parts
beforeEach(() => {
  parts = new Parts()
})

const codeOf = ({ outcome }: Applied): string =>
  outcome.kind === 'failed' ? outcome.code : outcome.kind
const responseOf = ({ outcome }: Applied): object =>
  outcome.kind === 'applied' ? outcome.response : {}
const revisionOf = ({ outcome }: Applied): number =>
  outcome.kind === 'applied' ? outcome.revision : 0
const told = ({ events }: Applied): string[] =>
  events.map((event) => `${event.type} ${event.key} ${event.modRevision}/${event.sub}`)

describe('keys', () => {
  test('a put makes a revision and one event', () => {
    const first = parts.put('a')
    expect([revisionOf(first), told(first)]).toEqual([2, ['PUT a 2/0']])
    expect(KeyValue.decode(first.events[0]?.kv ?? bytes(''))).toMatchObject({
      version: 1,
      createRevision: 2,
      value: bytes('v'),
    })
    expect(revisionOf(parts.put('a'))).toBe(3)
  })

  test('a put on a lease that is gone changes nothing', () => {
    expect(codeOf(parts.put('a', 'v', 9n))).toBe('LEASE_NOT_FOUND')
    expect(parts.store.currentRevision).toBe(1)
  })

  test('a deletion is one revision whatever it deletes, none when it deletes nothing', () => {
    for (const key of ['a', 'b', 'c']) parts.put(key)
    const gone = parts.apply('deleteRange', { key: bytes('a'), rangeEnd: bytes('c') })
    expect(responseOf(gone)).toMatchObject({ deleted: 2 })
    expect(told(gone)).toEqual(['DELETE a 5/0', 'DELETE b 5/1'])
    const nothing = parts.apply('deleteRange', { key: bytes('x') })
    expect([revisionOf(nothing), told(nothing)]).toEqual([5, []])
  })

  test('a transaction is one revision; a wrong one changes nothing', () => {
    const operations = (...keys: string[]) =>
      keys.map((key) => RequestOp.create({ requestPut: PutRequest.create({ key: bytes(key) }) }))
    const done = parts.apply('txn', { success: operations('a', 'b') })
    expect(told(done)).toEqual(['PUT a 2/0', 'PUT b 2/1'])
    expect(responseOf(done)).toMatchObject({ succeeded: true })
    const bad = { requestPut: PutRequest.create({ key: bytes('c'), lease: leaseId(9n) }) }
    const failed = parts.apply('txn', { success: [...operations('b'), RequestOp.create(bad)] })
    expect([codeOf(failed), parts.store.currentRevision]).toEqual(['LEASE_NOT_FOUND', 2])
  })

  test('a range that went through the log answers, and changes nothing', () => {
    parts.put('a')
    const found = parts.apply('range', { key: bytes('a') })
    expect(responseOf(found)).toMatchObject({ count: 1, more: false })
    expect([revisionOf(found), told(found)]).toEqual([2, []])
    expect(codeOf(parts.apply('range', { key: bytes('a'), revision: 9 }))).toBe('FUTURE_REVISION')
  })

  test('a compaction is refused beyond the present and below the last', () => {
    for (const key of ['a', 'b', 'c']) parts.put(key)
    expect(codeOf(parts.apply('compaction', { revision: 9 }))).toBe('FUTURE_REVISION')
    expect(codeOf(parts.apply('compaction', { revision: 3 }))).toBe('applied')
    expect(codeOf(parts.apply('compaction', { revision: 3 }))).toBe('COMPACTED')
    expect(parts.store.compactedRevision).toBe(3)
  })
})

describe('leases', () => {
  const grant = (id: bigint, ttl = 60): Applied =>
    parts.apply('leaseGrant', { ID: leaseId(id), TTL: ttl })

  test('are granted once, with their row', () => {
    expect(responseOf(grant(7n))).toEqual({ ID: 7n, TTL: 60 })
    expect([...parts.leases.keys()]).toEqual(['0000000000000007'])
    const row = StoredLease.decode([...parts.leases.values()][0] ?? bytes(''))
    expect(row).toEqual({ ID: 7n, TTL: 60, RemainingTTL: 0 })
    expect(codeOf(grant(7n))).toBe('LEASE_EXISTS')
    expect(codeOf(grant(8n, 9_000_000_001))).toBe('LEASE_TTL_TOO_LARGE')
    expect(parts.leases.size).toBe(1)
  })

  test('delete their keys in order under one revision when they are revoked', () => {
    grant(7n)
    for (const key of ['c', 'a', 'b']) parts.put(key, 'v', 7n)
    parts.put('other')
    const revoked = parts.apply('leaseRevoke', { ID: leaseId(7n) })
    expect(told(revoked)).toEqual(['DELETE a 6/0', 'DELETE b 6/1', 'DELETE c 6/2'])
    expect(revisionOf(revoked)).toBe(6)
    expect([parts.leases.size, parts.lessor.has(leaseId(7n))]).toEqual([0, false])
    expect(codeOf(parts.apply('leaseRevoke', { ID: leaseId(7n) }))).toBe('LEASE_NOT_FOUND')
  })

  test('without keys use no revision when they are revoked', () => {
    grant(7n)
    const revoked = parts.apply('leaseRevoke', { ID: leaseId(7n) })
    expect([revisionOf(revoked), told(revoked)]).toEqual([1, []])
  })

  test('let a key go that is put again without them', () => {
    grant(7n)
    parts.put('a', 'v', 7n)
    parts.put('a')
    expect(told(parts.apply('leaseRevoke', { ID: leaseId(7n) }))).toEqual([])
  })

  test('keep the time that a checkpoint says is left, and ignore one of a lease that is gone', () => {
    grant(7n, 1000)
    const checkpoints = [
      { ID: leaseId(9n), remaining_TTL: 5 },
      { ID: leaseId(7n), remaining_TTL: 700 },
    ]
    expect(codeOf(parts.apply('leaseCheckpoint', { checkpoints }))).toBe('applied')
    expect(parts.leases.size).toBe(1)
    const row = StoredLease.decode([...parts.leases.values()][0] ?? bytes(''))
    expect(row.RemainingTTL).toBe(700)
  })
})

describe('alarms', () => {
  const alarm = (action: string, kind: string, member = SELF): Applied =>
    parts.apply('alarm', { action, alarm: kind, memberID: member })
  const alarmsOf = (applied: Applied): unknown =>
    (responseOf(applied) as { alarms: unknown }).alarms

  test('are raised once, listed, and taken back', () => {
    const raised = [{ memberID: SELF, alarm: 'NOSPACE' }]
    expect(alarmsOf(alarm('ACTIVATE', 'NOSPACE'))).toEqual(raised)
    expect(alarmsOf(alarm('ACTIVATE', 'NOSPACE'))).toEqual(raised)
    expect(alarmsOf(alarm('GET', 'NONE', memberId(0n)))).toEqual(raised)
    expect(alarmsOf(alarm('GET', 'CORRUPT'))).toEqual([])
    expect(alarmsOf(alarm('GET', 'NOSPACE', memberId(5n)))).toEqual([])
    expect(alarmsOf(alarm('DEACTIVATE', 'NOSPACE'))).toEqual(raised)
    expect(alarmsOf(alarm('DEACTIVATE', 'NOSPACE'))).toEqual([])
    const row = hexOf(AlarmMember.encode({ memberID: SELF, alarm: 'NOSPACE' }))
    expect(parts.alarmRows).toEqual([`put ${row}`, `delete ${row}`])
  })

  test('of no kind, and actions of a newer version, do nothing', () => {
    expect(alarmsOf(alarm('ACTIVATE', 'NONE'))).toEqual([])
    expect(alarmsOf(alarm('DEACTIVATE', 'NONE'))).toEqual([])
    expect(parts.alarmRows).toEqual([])
  })

  test('NOSPACE refuses what needs space, and nothing else', () => {
    parts.put('a')
    alarm('ACTIVATE', 'NOSPACE')
    const success = [RequestOp.create({ requestPut: PutRequest.create({ key: bytes('b') }) })]
    expect(codeOf(parts.put('b'))).toBe('NO_SPACE')
    expect(codeOf(parts.apply('txn', { success }))).toBe('NO_SPACE')
    expect(codeOf(parts.apply('leaseGrant', { ID: leaseId(1n), TTL: 5 }))).toBe('NO_SPACE')
    expect(codeOf(parts.apply('txn', {}))).toBe('applied')
    expect(codeOf(parts.apply('deleteRange', { key: bytes('a') }))).toBe('applied')
    expect(codeOf(parts.apply('compaction', { revision: 2 }))).toBe('applied')
    alarm('DEACTIVATE', 'NOSPACE')
    expect(codeOf(parts.put('b'))).toBe('applied')
  })

  test('CORRUPT refuses every change of keys and leases, and reads through the log', () => {
    alarm('ACTIVATE', 'CORRUPT', memberId(0n))
    for (const operation of [
      ...(['put', 'range', 'deleteRange', 'txn', 'compaction'] as const),
      ...(['leaseGrant', 'leaseRevoke'] as const),
    ]) {
      expect([operation, codeOf(parts.apply(operation, {}))]).toEqual([operation, 'CORRUPT'])
    }
    expect(codeOf(parts.apply('leaseCheckpoint', {}))).toBe('applied')
    expect(alarmsOf(alarm('DEACTIVATE', 'CORRUPT', memberId(0n)))).toHaveLength(1)
  })

  test('are the same after a restart, in place of what was known', () => {
    alarm('ACTIVATE', 'CORRUPT')
    const restored = new Alarms({ putAlarm: () => undefined, deleteAlarm: () => undefined })
    const keys = [
      AlarmMember.encode({ memberID: memberId(9n), alarm: 'NOSPACE' }),
      AlarmMember.encode({ memberID: memberId(3n), alarm: 'NOSPACE' }),
      AlarmMember.encode({ memberID: memberId(3n), alarm: 'NONE' }),
    ]
    restored.restore(keys)
    expect(restored.list(memberId(0n), 'NONE').map((one) => one.memberId)).toEqual([3n, 9n])
    restored.restore([])
    expect(restored.isActive('NOSPACE')).toBe(false)
  })
})

describe('the quota', () => {
  const put = PutRequest.create({ key: bytes('key'), value: bytes('value') })

  test('counts 256 bytes beside key and value, the dearer branch, and 64 for a lease', () => {
    expect(putCost(put)).toBe(264)
    const branch = [RequestOp.create({ requestPut: put }), RequestOp.create({})]
    const nested = RequestOp.create({ requestTxn: TxnRequest.create({ failure: branch }) })
    expect(txnCost(TxnRequest.create({ success: branch, failure: [nested, ...branch] }))).toBe(528)
    expect(txnCost(TxnRequest.create({}))).toBe(0)
    expect(LEASE_COST_BYTES).toBe(64)
  })

  test('is exceeded by a request that is done all the same, but answered as refused', () => {
    parts.freeBytes = 100
    const over = parts.put('a')
    expect([codeOf(over), over.isOverQuota, told(over)]).toEqual(['NO_SPACE', true, ['PUT a 2/0']])
    expect(parts.store.currentRevision).toBe(2)
    const lease = parts.apply('leaseGrant', { ID: leaseId(1n), TTL: 5 })
    expect([codeOf(lease), lease.isOverQuota]).toEqual(['applied', false])
    parts.freeBytes = 10
    expect(codeOf(parts.apply('leaseGrant', { ID: leaseId(2n), TTL: 5 }))).toBe('NO_SPACE')
    expect(parts.lessor.has(leaseId(2n))).toBe(true)
  })

  test('does not hide another failure, and does not stop deletions', () => {
    parts.put('a')
    parts.freeBytes = 0
    const failed = parts.put('b', 'v', 9n)
    expect([codeOf(failed), failed.isOverQuota]).toEqual(['LEASE_NOT_FOUND', false])
    expect(codeOf(parts.apply('deleteRange', { key: bytes('a') }))).toBe('applied')
    expect(codeOf(parts.apply('txn', {}))).toBe('applied')
  })
})

describe('the cluster', () => {
  test('takes its version, attributes of members and downgrades from the log', () => {
    expect(codeOf(parts.apply('clusterVersionSet', { ver: '3.5.0' }))).toBe('applied')
    expect(parts.membership.version).toMatchObject({ major: 3, minor: 5 })
    expect(codeOf(parts.apply('clusterVersionSet', { ver: 'nonsense' }))).toBe('INTERNAL')
    const memberAttributes = { name: 'n1', clientUrls: ['http://c:2379'] }
    parts.apply('clusterMemberAttrSet', { memberID: SELF, memberAttributes })
    expect(parts.membership.member(SELF)).toMatchObject(memberAttributes)
    parts.apply('downgradeInfoSet', { enabled: true, ver: '3.4.0' })
    expect(parts.membership.downgrade).toEqual({ isEnabled: true, targetVersion: '3.4.0' })
  })
})

test('two machines that apply the same entries are equal', () => {
  const twin = new Parts()
  const requests: readonly (readonly [Operation, object])[] = [
    ['leaseGrant', { ID: leaseId(7n), TTL: 60 }],
    ['put', { key: bytes('a'), value: bytes('1'), lease: leaseId(7n) }],
    ['put', { key: bytes('b'), value: bytes('2') }],
    [
      'txn',
      { success: [RequestOp.create({ requestPut: PutRequest.create({ key: bytes('b') }) })] },
    ],
    ['deleteRange', { key: bytes('b') }],
    ['leaseRevoke', { ID: leaseId(7n) }],
    ['alarm', { action: 'ACTIVATE', alarm: 'NOSPACE', memberID: SELF }],
    ['put', { key: bytes('c') }],
  ]
  for (const [operation, request] of requests) {
    expect(twin.apply(operation, request, 12_345)).toEqual(parts.apply(operation, request, 0))
  }
  expect([...twin.rows.rows]).toEqual([...parts.rows.rows])
  expect([...twin.leases]).toEqual([...parts.leases])
})
