// Goal: bodies are read as Go's decoder reads them into etcd's structs. Method: cases tried on
// etcd 3.4.23.
import { describe, expect, test } from 'vitest'
import {
  parseRoleRequest,
  parseStoredRole,
  parseStoredUser,
  parseUserRequest,
} from '../../src/auth/v2-json.js'

const NOBODY = { user: '', password: '', roles: null, grant: null, revoke: null }

describe('users', () => {
  test('have fields in any case, others are skipped, null is "not given"', () => {
    const body = '{"USER":"u","Password":"p","roles":null,"x":{"y":[1]},"GRANT":["a",null]}'
    expect(parseUserRequest(body)).toEqual({
      ...NOBODY,
      user: 'u',
      password: 'p',
      grant: ['a', ''],
    })
    expect(parseUserRequest('null')).toEqual(NOBODY)
    expect(parseUserRequest('{"roles":[],"revoke":["r"],"user":null}')).toEqual({
      ...NOBODY,
      roles: [],
      revoke: ['r'],
    })
  })

  test('are the first value of a body, and all of what is stored', () => {
    expect(parseUserRequest(' {"user":"u"} rest {')).toEqual({ ...NOBODY, user: 'u' })
    expect(parseStoredUser(' {"user":"u"} rest {')).toBeUndefined()
    expect(parseStoredUser('{"user":"u","password":"#","roles":["a"]}')).toEqual({
      ...NOBODY,
      user: 'u',
      password: '#',
      roles: ['a'],
    })
  })

  test('cannot have half a character: it becomes the replacement', () => {
    const half = parseUserRequest('{"user":"\\ud83d","password":"\\ud83d\\ude00\\ude00"}')
    expect(half).toEqual({ ...NOBODY, user: '\ufffd', password: '\u{1f600}\ufffd' })
  })

  test.each([
    '',
    'x',
    '{',
    '[]',
    '1',
    '"u"',
    '{"user":1}',
    '{"roles":"a"}',
    '{"roles":[1]}',
    '{"grant":{}}',
    '{"user":"a",}',
  ])('%s is none', (body) => {
    expect(parseUserRequest(body)).toBeUndefined()
  })
})

describe('roles', () => {
  const NONE = { read: null, write: null }

  test('have permissions that may be missing at every level', () => {
    expect(parseRoleRequest('{}')).toEqual({ role: '', permissions: NONE })
    expect(parseRoleRequest('{"role":"r","permissions":{"kv":null},"grant":null}')).toEqual({
      role: 'r',
      permissions: NONE,
    })
    const body =
      '{"role":"r","Permissions":{"KV":{"Read":["/a"],"write":[]}},"grant":{},"revoke":{"kv":{}}}'
    expect(parseRoleRequest(body)).toEqual({
      role: 'r',
      permissions: { read: ['/a'], write: [] },
      grant: NONE,
      revoke: NONE,
    })
    expect(parseStoredRole(body)).toEqual(parseRoleRequest(body))
  })

  test.each([
    '[]',
    '{"role":[]}',
    '{"permissions":1}',
    '{"permissions":{"kv":[]}}',
    '{"permissions":{"kv":{"read":"/a"}}}',
    '{"revoke":{"kv":{"write":[{}]}}}',
  ])('%s is none', (body) => {
    expect(parseRoleRequest(body)).toBeUndefined()
    expect(parseStoredRole(body)).toBeUndefined()
  })
})
