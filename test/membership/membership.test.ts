// Goal: the rules of membership, and tree and rows in step with memory. Method: ConfChanges one at a time.
import { describe, expect, test } from 'vitest'
import { clusterId, type MemberId, memberId } from '../../src/base/ids.js'
import { bootstrapEntries } from '../../src/membership/bootstrap.js'
import {
  encodeAddContext,
  encodeMember,
  encodePromoteContext,
  type Member,
} from '../../src/membership/member.js'
import { Membership, membershipErrors, type Verdict } from '../../src/membership/membership.js'
import { readMembershipRows } from '../../src/membership/membership-rows.js'
import { readMembershipTree } from '../../src/membership/membership-tree.js'
import type {
  MembershipBucket,
  MembershipRowSource,
  MembershipRows,
} from '../../src/membership/sinks.js'
import { V2Store } from '../../src/v2store/store.js'
import { ConfChange } from '../../src/wire/raftpb.js'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

class Rows implements MembershipRows, MembershipRowSource {
  readonly #buckets = { members: new Map(), members_removed: new Map(), cluster: new Map() }
  put(bucket: MembershipBucket, key: string, value: Uint8Array): void {
    this.#buckets[bucket].set(key, value)
  }
  delete(bucket: MembershipBucket, key: string): void {
    this.#buckets[bucket].delete(key)
  }
  rows(bucket: MembershipBucket): Iterable<readonly [string, Uint8Array]> {
    return this.#buckets[bucket]
  }
  text(bucket: MembershipBucket): Record<string, string> {
    const entries: [string, Uint8Array][] = [...this.#buckets[bucket]]
    return Object.fromEntries(entries.map(([key, value]) => [key, new TextDecoder().decode(value)]))
  }
}

/** An id that does not fit a double. */
const A = memberId(0xc9f751f0b0b4fa5an)
const B = memberId(2n)
const C = memberId(3n)
const member = (id: MemberId, more: Partial<Member> = {}): Member => ({
  id,
  peerUrls: [`http://host-${id}:2380`],
  isLearner: false,
  name: '',
  clientUrls: [],
  ...more,
})

const change = (type: ConfChange['type'], nodeId: MemberId, context: string): ConfChange =>
  ConfChange.create({ id: 7n, type, nodeId, context: bytes(context) })
const add = (added: Member): ConfChange =>
  change(
    added.isLearner ? 'ConfChangeAddLearnerNode' : 'ConfChangeAddNode',
    added.id,
    encodeAddContext(added),
  )
const promote = (id: MemberId): ConfChange =>
  change('ConfChangeAddNode', id, encodePromoteContext(id))
const remove = (id: MemberId): ConfChange => change('ConfChangeRemoveNode', id, '')
const update = (updated: Member): ConfChange =>
  change('ConfChangeUpdateNode', updated.id, encodeMember(updated))

function setUp() {
  const sinks = { tree: new V2Store(), rows: new Rows() }
  const membership = new Membership({ clusterId: clusterId(9n) })
  const apply = (confChange: ConfChange): void => {
    const verdict = membership.validate(confChange)
    if (verdict.kind !== 'valid') throw new Error(JSON.stringify(verdict))
    membership.apply(verdict.change, sinks)
  }
  apply(add(member(A)))
  apply(add(member(B, { isLearner: true })))
  const errorOf = (confChange: ConfChange): string => {
    const verdict: Verdict = membership.validate(confChange)
    if (verdict.kind === 'refused') return membershipErrors[verdict.error].text
    return verdict.kind === 'unreadable' ? verdict.reason : 'valid'
  }
  return { ...sinks, membership, apply, errorOf, sinks }
}

/** Tree and rows say what memory says. */
function expectInStep({ membership, tree, rows }: ReturnType<typeof setUp>): void {
  const { version } = membership
  const stored = { members: membership.members(), removed: membership.removedIds(), version }
  const fromTree = readMembershipTree(tree)
  const fromRows = readMembershipRows(rows)
  for (const read of [fromTree, fromRows]) {
    if (read.kind !== 'read') throw new Error(read.reason)
    const restored = new Membership({ clusterId: clusterId(9n), stored: read.stored })
    expect(restored.members()).toEqual(stored.members)
    expect(restored.removedIds()).toEqual(stored.removed)
    expect(restored.version).toEqual(version)
  }
}

describe('a change is refused with the text of etcd', () => {
  test('when the member is there, was removed, or is not known', () => {
    const { apply, errorOf } = setUp()
    apply(add(member(C)))
    apply(remove(C))
    expect(errorOf(add(member(A)))).toBe('membership: ID exists')
    expect(errorOf(add(member(C)))).toBe('membership: ID removed')
    expect(errorOf(remove(C))).toBe('membership: ID removed')
    expect(errorOf(remove(memberId(99n)))).toBe('membership: ID not found')
    expect(errorOf(update(member(memberId(99n))))).toBe('membership: ID not found')
    expect(errorOf(promote(memberId(99n)))).toBe('membership: ID not found')
  })

  test('when a peer URL belongs to another member', () => {
    const { errorOf } = setUp()
    const { peerUrls } = member(B)
    expect(errorOf(add(member(C, { peerUrls })))).toBe('membership: peerURL exists')
    expect(errorOf(update(member(A, { peerUrls })))).toBe('membership: peerURL exists')
    expect(errorOf(update(member(B, { peerUrls })))).toBe('valid')
  })

  test('when it promotes a voter or adds one learner too many', () => {
    const { errorOf } = setUp()
    expect(errorOf(promote(A))).toBe('membership: can only promote a learner member')
    expect(errorOf(promote(B))).toBe('valid')
    expect(errorOf(add(member(C, { isLearner: true })))).toBe(
      'membership: too many learner members in cluster',
    )
  })

  test('when it cannot be read or names two members', () => {
    const { errorOf } = setUp()
    expect(errorOf(change('ConfChangeAddNode', C, '{'))).toBe(
      'failed to unmarshal confChangeContext',
    )
    expect(errorOf(change('ConfChangeUpdateNode', A, '[]'))).toBe('failed to unmarshal member')
    expect(errorOf(change('ConfChangeAddNode', C, encodeMember(member(memberId(4n)))))).toBe(
      'got different member ID',
    )
    expect(errorOf(change('ConfChangeUpdateNode', A, encodeMember(member(B))))).toBe(
      'got different member ID',
    )
    expect(errorOf(change('UNKNOWN', A, ''))).toBe('unknown ConfChange type')
  })
})

describe('tree and rows', () => {
  test('follow every change', () => {
    const all = setUp()
    const { membership, apply, sinks, rows, tree } = all
    expectInStep(all)
    apply(promote(B))
    expect(membership.votingMemberIds()).toEqual([B, A])
    expectInStep(all)
    apply(update(member(B, { peerUrls: ['http://elsewhere:2380'] })))
    expect(
      membership.setAttributes(A, { name: 'n<1>', clientUrls: ['http://c:2379'] }, sinks),
    ).toBe('updated')
    membership.setVersion({ major: 3, minor: 5, patch: 0, preRelease: '' }, sinks)
    expectInStep(all)
    apply(remove(B))
    expectInStep(all)
    expect(rows.text('members')).toEqual({
      c9f751f0b0b4fa5a:
        '{"id":14553190815069698650,"peerURLs":["http://host-14553190815069698650:2380"],' +
        '"name":"n\\u003c1\\u003e","clientURLs":["http://c:2379"]}',
    })
    expect(rows.text('members_removed')).toEqual({ '2': 'removed' })
    expect(rows.text('cluster')).toEqual({ clusterVersion: '3.5.0' })
    // Two adds, promote, update, attributes, version, and a removal that takes two changes.
    expect(tree.index).toBe(8)
  })

  test('learner and peer URLs are in raftAttributes', () => {
    const { tree } = setUp()
    const path = '/0/members/2/raftAttributes'
    const got = tree.get({ path, nowMs: 0, isRecursive: false, isSorted: false })
    expect(got.kind === 'event' && got.event.node.value).toBe(
      '{"peerURLs":["http://host-2:2380"],"isLearner":true}',
    )
  })

  test('written out whole say the same', () => {
    const { membership, apply, sinks } = setUp()
    apply(add(member(C, { name: 'c', clientUrls: ['http://c:2379'] })))
    apply(remove(B))
    membership.setVersion({ major: 3, minor: 5, patch: 0, preRelease: '' }, sinks)
    membership.setDowngrade({ targetVersion: '3.4.0', isEnabled: true }, sinks)
    const [tree, rows] = [new V2Store(), new Rows()]
    membership.writeTree(tree)
    membership.writeRows(rows)
    expectInStep({ ...setUp(), membership, tree, rows })
    const read = readMembershipRows(rows)
    expect(read.kind === 'read' && read.downgrade).toEqual(membership.downgrade)
    expect(rows.text('cluster').downgrade).toBe('{"target-version":"3.4.0","enabled":true}')
  })

  test('that are damaged are said to be', () => {
    const rows = new Rows()
    rows.put('members', '2', bytes(encodeMember(member(C))))
    expect(readMembershipRows(rows).kind).toBe('unreadable')
    const removed = new Rows()
    removed.put('members_removed', 'zz', bytes('removed'))
    expect(readMembershipRows(removed).kind).toBe('unreadable')
    for (const [path, value] of [
      ['/0/members/2/raftAttributes', '{'],
      ['/0/members/zz/raftAttributes', '{"peerURLs":[]}'],
      ['/0/removed_members/zz', ''],
      ['/0/version', 'three'],
    ] as const) {
      const tree = new V2Store()
      tree.set({ path, nowMs: 0, value, isDirectory: false })
      expect(readMembershipTree(tree).kind).toBe('unreadable')
    }
  })
})

test('attributes of a removed member are passed over, those of a stranger are told', () => {
  const { membership, apply, sinks, tree } = setUp()
  apply(remove(B))
  const { index } = tree
  const attributes = { name: 'late', clientUrls: [] }
  expect(membership.setAttributes(B, attributes, sinks)).toBe('removed')
  expect(membership.setAttributes(C, attributes, sinks)).toBe('unknown')
  expect(tree.index).toBe(index)
})

test('lists are sorted by id, and learners are apart', () => {
  const { membership, sinks } = setUp()
  membership.setAttributes(A, { name: 'a', clientUrls: ['http://z', 'http://b'] }, sinks)
  expect(membership.memberIds()).toEqual([B, A])
  expect(membership.confState()).toEqual({ voters: [A], learners: [B] })
  expect(membership.peerUrls()).toEqual([`http://host-${A}:2380`, 'http://host-2:2380'])
  expect(membership.clientUrls()).toEqual(['http://b', 'http://z'])
  expect(membership.memberByName('a')?.id).toBe(A)
  expect(membership.isRemoved(A)).toBe(false)
  expect(membership.describe()).toBe(
    '{ClusterID:9 Members:[&{ID:2 RaftAttributes:{PeerURLs:[http://host-2:2380] IsLearner:true} ' +
      'Attributes:{Name: ClientURLs:[]}} &{ID:c9f751f0b0b4fa5a RaftAttributes:{PeerURLs:' +
      '[http://host-14553190815069698650:2380] IsLearner:false} Attributes:{Name:a ClientURLs:' +
      '[http://z http://b]}}] RemovedMemberIDs:[]}',
  )
})

describe('a static start', () => {
  const start = (urls: Record<string, readonly string[]>) =>
    Membership.fromInitialCluster({
      urlsByName: new Map(Object.entries(urls)),
      token: 'etcd-cluster',
    })

  test('gives the ids that etcd gives', () => {
    const initial = start({ n1: ['http://127.0.0.1:14002'] })
    if (initial.kind !== 'membership') throw new Error(initial.reason)
    expect(initial.membership.clusterId.toString(16)).toBe('6c3e73ee238ab33f')
    expect(initial.membership.memberIds()).toEqual([A])
    const [entry] = bootstrapEntries(initial.membership.members())
    const decoded = ConfChange.decode(entry?.data ?? new Uint8Array(0))
    expect(new TextDecoder().decode(decoded.context)).toBe(
      '{"id":14553190815069698650,"peerURLs":["http://127.0.0.1:14002"],"name":"n1"}',
    )
  })

  test('makes entries by ascending id that apply as any others', () => {
    const initial = start({ a: ['http://a:1'], b: ['http://b:1', 'http://b:2'], c: ['http://c:1'] })
    if (initial.kind !== 'membership') throw new Error(initial.reason)
    const applied = new Membership({ clusterId: initial.membership.clusterId })
    const entries = bootstrapEntries(initial.membership.members())
    expect(entries.map((entry) => [entry.index, entry.term, entry.type])).toEqual([
      [1, 1, 'EntryConfChange'],
      [2, 1, 'EntryConfChange'],
      [3, 1, 'EntryConfChange'],
    ])
    for (const entry of entries) {
      const verdict = applied.validate(ConfChange.decode(entry.data))
      if (verdict.kind !== 'valid') throw new Error(verdict.kind)
      applied.apply(verdict.change, {})
    }
    expect(applied.members()).toEqual(initial.membership.members())
  })

  test('refuses two names with the same URLs', () => {
    const initial = start({ a: ['http://a:1'], b: ['http://a:1'] })
    expect(initial.kind === 'refused' && initial.reason).toMatch(
      /^member exists with identical ID &\{ID:[0-9a-f]+ RaftAttributes/,
    )
  })
})
