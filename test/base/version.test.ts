// Goal: the versions agree with each other. Method: one is a part of the other.
import { expect, test } from 'vitest'
import { API_VERSION, MIN_CLUSTER_VERSION, SERVER_VERSION } from '../../src/base/version.js'

test('the API is that of the server version, and not older than what we can join', () => {
  expect(SERVER_VERSION).toMatch(/^3\.5\.\d+$/)
  expect(SERVER_VERSION.startsWith(`${API_VERSION}.`)).toBe(true)
  expect(MIN_CLUSTER_VERSION < SERVER_VERSION).toBe(true)
})
