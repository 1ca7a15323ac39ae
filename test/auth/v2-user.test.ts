// Goal: users change as etcd's do. Method: cases seen on etcd 3.4.23.
import { describe, expect, test } from 'vitest'
import {
  encodeUser,
  updateUser,
  type V2User,
  type V2UserRequest,
  withRootRole,
} from '../../src/auth/v2-user.js'

const user = (roles: V2User['roles'], name = 'u'): V2User => ({ user: name, password: '#', roles })
const change = (rest: Partial<V2UserRequest> = {}): V2UserRequest => ({
  user: 'u',
  password: '',
  roles: null,
  grant: null,
  revoke: null,
  ...rest,
})

test('the JSON of a user leaves an empty password out', () => {
  expect(encodeUser(user(null, 'ä&'))).toBe('{"user":"ä\\u0026","password":"#","roles":null}')
  expect(encodeUser({ ...user(['a']), password: '' })).toBe('{"user":"u","roles":["a"]}')
})

test('the root user always has the root role, once', () => {
  expect(withRootRole(user(null, 'root')).roles).toEqual(['root'])
  expect(withRootRole(user(['a'], 'root')).roles).toEqual(['a', 'root'])
  expect(withRootRole(user(['root', 'a'], 'root')).roles).toEqual(['root', 'a'])
  expect(withRootRole(user(['a'])).roles).toEqual(['a'])
})

describe('a change', () => {
  const updated = (stored: V2User, rest: Partial<V2UserRequest>, hash?: string): unknown => {
    const outcome = updateUser(stored, change(rest), hash)
    return outcome.kind === 'user' ? outcome.user : outcome.refusal.message
  }

  test('grants, then revokes, and sorts', () => {
    expect(updated(user(['z', 'a']), { grant: ['m', 'b'], revoke: ['z', 'b'] })).toEqual(
      user(['a', 'm']),
    )
    expect(updated(user(['a', 'a']), { revoke: ['a'] })).toEqual(user([]))
  })

  test('of the password keeps the roles', () => {
    expect(updated(user(['a']), {}, '##')).toEqual({ ...user(['a']), password: '##' })
  })

  test('of a role that is there, or is not, is refused', () => {
    expect(updated(user(['a']), { grant: ['a'] })).toBe(
      'auth: Granting duplicate role a for user u',
    )
    expect(updated(user(null), { grant: ['a', 'a'] })).toBe(
      'auth: Granting duplicate role a for user u',
    )
    expect(updated(user(['a']), { revoke: ['b'] })).toBe(
      'auth: Revoking ungranted role b for user u',
    )
  })

  test('of nothing is refused, unless the roles were missing or not in order', () => {
    const text = 'auth: User not updated. Use grant/revoke/password to update the user.'
    expect(updated(user(['a']), {})).toBe(text)
    expect(updated(user([]), { grant: ['n'], revoke: ['n'] })).toBe(text)
    expect(updated(user(null), {})).toEqual(user([]))
    expect(updated(user(['b', 'a']), {})).toEqual(user(['a', 'b']))
  })
})
