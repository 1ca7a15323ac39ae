// Goal: what the v2 tree says about members is found again. Method: each path written and parsed.
import { expect, test } from 'vitest'
import { memberId } from '../../src/base/ids.js'
import {
  memberAttributesPath,
  memberPath,
  parseMemberAttributesPath,
  parseMemberPath,
  raftAttributesPath,
  removedMemberPath,
} from '../../src/base/v2-paths.js'

const id = memberId(0xc9f751f0b0b4fa5an)

test('paths of a member carry its id in hex and give it back', () => {
  expect(memberPath(id)).toBe('/0/members/c9f751f0b0b4fa5a')
  expect(raftAttributesPath(id)).toBe('/0/members/c9f751f0b0b4fa5a/raftAttributes')
  expect(removedMemberPath(id)).toBe('/0/removed_members/c9f751f0b0b4fa5a')
  expect(parseMemberAttributesPath(memberAttributesPath(id))).toBe(id)
  expect(parseMemberPath(memberPath(id))).toBe(id)
  expect(parseMemberPath(removedMemberPath(id))).toBe(id)
})

test.each([
  '/0/members/c9f751f0b0b4fa5a/raftAttributes',
  '/0/members/xyz/attributes',
  '/1/0/members/1/attributes',
  '/0/members/11111111111111111/attributes',
])('%s holds the attributes of nobody', (path) => {
  expect(parseMemberAttributesPath(path)).toBeUndefined()
})

test('a node whose name is no id is about no member', () => {
  expect(parseMemberPath('/0/members/attributes')).toBeUndefined()
})
