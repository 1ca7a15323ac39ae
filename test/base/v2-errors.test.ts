// Goal: v2 errors look as etcd's do. Method: bodies seen from etcd 3.4.23.
import { expect, test } from 'vitest'
import { memberId } from '../../src/base/ids.js'
import { createV2Error, encodeV2Error, v2HttpStatus } from '../../src/base/v2-errors.js'
import {
  memberAttributesPath,
  parseMemberAttributesPath,
  parseMemberPath,
  removedMemberPath,
} from '../../src/base/v2-paths.js'

test('an error has its code, message, cause and index, and its HTTP status', () => {
  const error = createV2Error(100, '/nope', 11)
  expect(encodeV2Error(error)).toBe(
    '{"errorCode":100,"message":"Key not found","cause":"/nope","index":11}',
  )
  expect(v2HttpStatus(error)).toBe(404)
})

test('an empty cause is left out', () => {
  expect(encodeV2Error(createV2Error(300, '', 0))).toBe(
    '{"errorCode":300,"message":"Raft Internal Error","index":0}',
  )
})

test('the paths of members are made and recognised', () => {
  const id = memberId(0xabn)
  expect(memberAttributesPath(id)).toBe('/0/members/ab/attributes')
  expect(parseMemberAttributesPath(memberAttributesPath(id))).toBe(id)
  expect(parseMemberAttributesPath('/1/0/members/ab/attributes')).toBeUndefined()
  expect(parseMemberAttributesPath('/0/members/xyz/attributes')).toBeUndefined()
  expect(parseMemberPath(removedMemberPath(id))).toBe(id)
  expect(parseMemberPath('/0/members/zz')).toBeUndefined()
})
