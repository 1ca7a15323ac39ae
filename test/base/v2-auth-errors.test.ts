// Goal: refusals about users and roles have etcd's texts. Method: texts seen on etcd 3.4.23.
import { expect, test } from 'vitest'
import { refuseV2Auth, v2AuthErrors } from '../../src/base/v2-auth-errors.js'

test('names go where the text has a place for them, whatever is in them', () => {
  expect(refuseV2Auth('ROLE_GRANTED', '%s$&', 'u')).toEqual({
    code: 'ROLE_GRANTED',
    httpStatus: 409,
    message: 'auth: Granting duplicate role %s$& for user u',
  })
  expect(refuseV2Auth('INVALID_PATH').message).toBe('Invalid path')
  expect(refuseV2Auth('USER_EXISTS').message).toBe('auth: User  already exists.')
})

test('each text is there once', () => {
  const texts = Object.values(v2AuthErrors).map(({ message }) => message)
  expect(new Set(texts).size).toBe(texts.length)
})
