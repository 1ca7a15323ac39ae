// Goal: roles change and allow as etcd's do. Method: cases seen on etcd 3.4.23, and a naive twin
// for the matching of patterns.
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  allows,
  DEFAULT_GUEST_ROLE,
  encodeRole,
  isEmptyPermissions,
  ROOT_ROLE,
  sameRole,
  updateRole,
  type V2Permissions,
  type V2Role,
} from '../../src/auth/v2-role.js'

const kv = (read: V2Permissions['read'], write: V2Permissions['write']): V2Permissions => ({
  read,
  write,
})
const role = (permissions: V2Permissions, rest: Partial<V2Role> = {}): V2Role => ({
  role: 'r',
  permissions,
  ...rest,
})
const NONE = kv(null, null)

describe('the JSON of a role', () => {
  test('tells a missing list from an empty one', () => {
    expect(encodeRole(role(kv(['/<'], [])))).toBe(
      '{"role":"r","permissions":{"kv":{"read":["/\\u003c"],"write":[]}}}',
    )
    expect(encodeRole(role(NONE, { grant: NONE, revoke: kv([], null) }))).toBe(
      '{"role":"r","permissions":{"kv":{"read":null,"write":null}},' +
        '"grant":{"kv":{"read":null,"write":null}},"revoke":{"kv":{"read":[],"write":null}}}',
    )
  })

  test('the root role and the first guest role name all keys', () => {
    for (const { permissions } of [ROOT_ROLE, DEFAULT_GUEST_ROLE])
      expect(permissions).toEqual(kv(['/*'], ['/*']))
  })
})

describe('a change', () => {
  test('grants, then revokes, and sorts by bytes', () => {
    const change = role(NONE, { grant: kv(['/z', '/\u{1f600}', '/\uffff'], ['/w']) })
    const updated = updateRole(role(kv(['/z*'], null)), change)
    expect(updated).toEqual({
      kind: 'role',
      role: role(kv(['/z', '/z*', '/\uffff', '/\u{1f600}'], ['/w'])),
    })
    const back = role(NONE, { grant: kv(['/n'], null), revoke: kv(['/n', '/none'], ['/w']) })
    expect(updateRole(role(kv(['/a'], ['/w'])), back)).toEqual({
      kind: 'role',
      role: role(kv(['/a'], [])),
    })
    expect(updateRole(role(kv(['/a'], null)), role(NONE, { revoke: NONE }))).toEqual({
      kind: 'role',
      role: role(kv(['/a'], [])),
    })
  })

  test('of a pattern that is there already is refused', () => {
    const stored = role(kv(['/a'], ['/b']))
    const refusal = (grant: V2Permissions): unknown => {
      const outcome = updateRole(stored, role(NONE, { grant }))
      return outcome.kind === 'refused' ? outcome.refusal : outcome
    }
    expect(refusal(kv(['/x', '/a'], null))).toEqual({
      code: 'READ_GRANTED',
      httpStatus: 409,
      message: 'auth: Granting duplicate read permission /a',
    })
    expect(refusal(kv(['/x'], ['/y', '/y']))).toMatchObject({
      message: 'auth: Granting duplicate write permission /y',
    })
  })

  test('of nothing is refused, but for what the tree has beside its permissions', () => {
    const stored = role(kv(['/a'], []))
    expect(updateRole(stored, role(NONE, { revoke: kv(['/none'], null) }))).toMatchObject({
      kind: 'refused',
      refusal: { code: 'ROLE_NOT_UPDATED', httpStatus: 400 },
    })
    const odd = { ...stored, grant: NONE }
    expect(updateRole(odd, role(NONE))).toEqual({ kind: 'role', role: stored })
  })

  test('roles are the same only when their lists are, missing ones apart from empty ones', () => {
    const one = role(kv(['/a'], null), { grant: kv([], null) })
    expect(sameRole(one, { ...one, grant: kv([], null) })).toBe(true)
    for (const other of [
      { ...one, role: 's' },
      { ...one, permissions: kv(['/a'], []) },
      { ...one, permissions: kv(['/b'], null) },
      { ...one, permissions: kv(['/a', '/b'], null) },
      { ...one, grant: NONE },
      { ...one, grant: undefined },
      { ...one, revoke: NONE },
    ])
      expect(sameRole(one, other)).toBe(false)
  })

  test('permissions are empty when they name nothing', () => {
    for (const none of [undefined, NONE, kv([], []), kv(null, [])])
      expect(isEmptyPermissions(none)).toBe(true)
    expect(isEmptyPermissions(kv(['/a'], null))).toBe(false)
    expect(isEmptyPermissions(kv(null, ['']))).toBe(false)
  })
})

describe('access', () => {
  const may = (patterns: readonly string[], key: string, isRecursive = false): boolean =>
    allows(role(kv(patterns, null)), { key, isRecursive, isWrite: false })

  test('a pattern is a key, or with a star at its end a beginning', () => {
    expect(may(['/a'], '/a')).toBe(true)
    expect(may(['/a'], '/a/')).toBe(false)
    expect(may(['/a'], '/ab')).toBe(false)
    expect(may(['/a*'], '/a')).toBe(true)
    expect(may(['/a*'], '/ab/c')).toBe(true)
    expect(may(['/a*b'], '/axb')).toBe(false)
    expect(may(['/a*b'], '/a*b')).toBe(true)
    expect(may(['*'], '')).toBe(true)
    expect(may(['/*'], '')).toBe(false)
    expect(may(['/b', '/a'], '/a')).toBe(true)
    expect(may([], '/a')).toBe(false)
  })

  test('what is recursive needs a star', () => {
    expect(may(['/a'], '/a', true)).toBe(false)
    expect(may(['/a*'], '/a', true)).toBe(true)
    expect(may(['/a/*'], '/a', true)).toBe(false)
  })

  test('an empty pattern allows nothing', () => {
    expect(may([''], '')).toBe(false)
    expect(may([''], '/a', true)).toBe(false)
  })

  test('reading is not writing, and the root role may do both', () => {
    const access = { key: '/a', isRecursive: false }
    const reader = role(kv(['/a'], null))
    expect(allows(reader, { ...access, isWrite: true })).toBe(false)
    expect(allows(role(kv(null, ['/a'])), { ...access, isWrite: true })).toBe(true)
    expect(allows(role(kv(null, ['/a'])), { ...access, isWrite: false })).toBe(false)
    const root = { ...role(NONE), role: 'root' }
    expect(allows(root, { key: '', isRecursive: true, isWrite: true })).toBe(true)
  })

  test('is what a naive twin says', () => {
    const text = fc.string({ unit: fc.constantFrom('/', 'a', '*'), maxLength: 5 })
    fc.assert(
      fc.property(fc.array(text), text, fc.boolean(), (patterns, key, isRecursive) => {
        const expected = patterns.some((pattern) => {
          if (pattern === '') return false
          const last = pattern[pattern.length - 1]
          if (last === '*') return key.indexOf(pattern.substring(0, pattern.length - 1)) === 0
          return isRecursive ? false : key === pattern
        })
        expect(may(patterns, key, isRecursive)).toBe(expected)
      }),
    )
  })
})
