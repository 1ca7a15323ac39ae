// Goal: members cross JSON with all 64 bits of their ids. Method: etcd's texts, and a round trip for any member.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { memberId } from '../../src/base/ids.js'
import {
  compareUrlTexts,
  remotePeerUrls,
  validateClusterAndAssignIds,
} from '../../src/membership/bootstrap.js'
import {
  computeMemberId,
  encodeAddContext,
  encodeMember,
  encodeMembers,
  encodePromoteContext,
  type Member,
  parseAttributes,
  parseConfChangeContext,
  parseMember,
  parseMembers,
  parseRaftAttributes,
} from '../../src/membership/member.js'

const texts = fc.array(fc.string(), { maxLength: 3 })
const anyMember: fc.Arbitrary<Member> = fc.record({
  id: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map(memberId),
  peerUrls: texts,
  isLearner: fc.boolean(),
  name: fc.string(),
  clientUrls: texts,
})

describe('JSON', () => {
  test('has the keys and the order of etcd', () => {
    const member: Member = {
      id: memberId(14553190815069698650n),
      peerUrls: ['http://h:2380'],
      isLearner: true,
      name: 'n1',
      clientUrls: ['http://h:2379'],
    }
    const fields =
      '"id":14553190815069698650,"peerURLs":["http://h:2380"],"isLearner":true,"name":"n1","clientURLs":["http://h:2379"]'
    expect(encodeMember(member)).toBe(`{${fields}}`)
    expect(encodeAddContext(member)).toBe(`{${fields},"isPromote":false}`)
    expect(encodePromoteContext(member.id)).toBe(
      '{"id":14553190815069698650,"peerURLs":null,"isPromote":true}',
    )
    const bare = { ...member, id: memberId(1n), isLearner: false, name: '', clientUrls: [] }
    expect(encodeMembers([member, bare])).toBe(
      `[{"id":1,"peerURLs":["http://h:2380"]},{${fields}}]`,
    )
  })

  test('gives back any member and list', () => {
    fc.assert(
      fc.property(anyMember, anyMember, (a, b) => {
        expect(parseMember(encodeMember(a))).toEqual(a)
        expect(parseConfChangeContext(encodeAddContext(b))).toEqual({ member: b, isPromote: false })
        const sorted = a.id <= b.id ? [a, b] : [b, a]
        expect(parseMembers(encodeMembers([a, b]))).toEqual(sorted)
      }),
    )
  })

  test('a promotion carries the id alone', () => {
    expect(parseConfChangeContext(encodePromoteContext(memberId(5n)))).toEqual({
      member: { id: 5n, peerUrls: [], isLearner: false, name: '', clientUrls: [] },
      isPromote: true,
    })
  })

  test.each([
    '{',
    '[]',
    '{"id":"1"}',
    '{"id":-1}',
    '{"id":18446744073709551616}',
    '{"id":1,"peerURLs":"x"}',
    '{"id":1,"peerURLs":[1]}',
    '{"id":1,"name":1}',
    '{"id":1,"clientURLs":{}}',
  ])('%s is no member', (text) => {
    expect(parseMember(text)).toBeUndefined()
    expect(parseConfChangeContext(text)).toBeUndefined()
    expect(parseMembers(`[${text}]`)).toBeUndefined()
  })

  test('attributes are read apart', () => {
    expect(parseAttributes('{"name":"a"}')).toEqual({ name: 'a', clientUrls: [] })
    expect(parseRaftAttributes('{"peerURLs":["u"]}')).toEqual({ peerUrls: ['u'], isLearner: false })
    expect([parseAttributes('x'), parseRaftAttributes('x'), parseMembers('{}')]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
  })
})

test('a member added at runtime gets its id from its URLs, sorted, and the time', () => {
  const urls = ['http://b:1', 'http://a:1']
  const id = computeMemberId({ peerUrls: urls, token: '', unixSeconds: 1_700_000_000 })
  expect(computeMemberId({ peerUrls: ['http://a:1http://b:11700000000'], token: '' })).toBe(id)
  expect(computeMemberId({ peerUrls: urls, token: '' })).not.toBe(id)
})

describe('joining a running cluster', () => {
  const member = (id: bigint, name: string, ...peerUrls: string[]): Member => ({
    id: memberId(id),
    peerUrls,
    isLearner: false,
    name,
    clientUrls: [],
  })

  test('takes the ids of the members with the same URLs, in any order', () => {
    const local = [member(1n, 'a', 'http://a:1', 'http://a:2'), member(2n, 'b', 'http://b:1')]
    const existing = [member(9n, '', 'http://b:1'), member(8n, 'a', 'http://a:2', 'http://a:1')]
    const result = validateClusterAndAssignIds(local, existing, compareUrlTexts)
    expect(result).toEqual({
      kind: 'assigned',
      members: [member(8n, 'a', 'http://a:1', 'http://a:2'), member(9n, 'b', 'http://b:1')],
    })
    expect(remotePeerUrls(local, 'b')).toEqual(['http://a:1', 'http://a:2'])
  })

  test('is refused with the texts of etcd', () => {
    const local = [member(1n, 'a', 'http://a:1')]
    const refuse = (existing: readonly Member[]) => {
      const result = validateClusterAndAssignIds(local, existing, compareUrlTexts)
      return result.kind === 'refused' ? result.reason : result.kind
    }
    expect(refuse([])).toBe('member count is unequal')
    expect(refuse([member(0xabn, 'a', 'http://x:1', 'http://y:1')])).toBe(
      'PeerURLs: no match found for existing member (ab, [http://x:1 http://y:1]), last resolver error (<nil>)',
    )
  })
})
