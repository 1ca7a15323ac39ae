// Goal: names in certificates are compared as Go compares them. Method: names and hosts that differ in one thing, and what
// Node.js tells of a certificate.
import type { PeerCertificate } from 'node:tls'
import { expect, test } from 'vitest'
import {
  addressProblem,
  isFor,
  nameProblem,
  namesOf,
} from '../../src/platform/certificate-names.js'

const shown = (subject: object, subjectaltname?: string): PeerCertificate =>
  ({ subject, ...(subjectaltname === undefined ? {} : { subjectaltname }) }) as PeerCertificate
const names = (dnsNames: readonly string[], ipAddresses: readonly string[] = [], CN = '') => ({
  ...{ commonName: CN, dnsNames, ipAddresses },
})

test('names are read out of what was shown', () => {
  expect(namesOf({} as PeerCertificate)).toBeUndefined()
  expect(namesOf(shown({ CN: 'one' }))).toEqual(names([], [], 'one'))
  const text = 'DNS:a.example, IP Address:10.0.0.1, DNS:*.b.example, IP Address:0:0:0:0:0:0:0:1'
  expect(namesOf(shown({}, text))).toEqual(names(['a.example', '*.b.example'], ['10.0.0.1', '::1']))
})

test.each([
  [names(['a.example']), 'a.example', true],
  [names(['a.example']), 'A.EXAMPLE', true],
  [names(['a.example']), 'a.example.', true],
  [names(['a.example']), 'b.a.example', false],
  [names(['*.example']), 'a.example', true],
  [names(['*.example']), 'a.b.example', false],
  [names(['*.example']), 'example', false],
  [names([], ['10.0.0.1']), '10.0.0.1', true],
  [names([], ['10.0.0.1']), '10.0.0.2', false],
  [names([], ['::1']), '[0:0::1]', true],
  [names(['10.0.0.1']), '10.0.0.1', false],
  [names([], [], 'a.example'), 'a.example', false],
])('%j is for %s: %s', (certificate, host, isSo) => {
  expect(isFor(certificate, host)).toBe(isSo)
})

test('one of the allowed names must be there', () => {
  const refused = 'client certificate authentication failed'
  const one = names(['a.example'], [], 'one')
  const allow = (allowedCommonNames: string[], allowedHostnames: string[]) =>
    nameProblem(one, { allowedCommonNames, allowedHostnames })
  expect(allow([], [])).toBeUndefined()
  expect(allow(['two', 'one'], [])).toBeUndefined()
  expect(allow(['two'], [])).toBe(refused)
  expect(allow([], ['b.example', 'a.example'])).toBeUndefined()
  expect(allow([], ['one'])).toBe(refused)
})

test('a certificate with alternative names is for the address that it comes from', async () => {
  expect(await addressProblem(names([], [], 'any'), '10.9.9.9')).toBeUndefined()
  expect(await addressProblem(names([], ['127.0.0.1']), '::ffff:127.0.0.1')).toBeUndefined()
  expect(await addressProblem(names([], ['::1']), '::1')).toBeUndefined()
  expect(await addressProblem(names([], ['10.0.0.1', '10.0.0.2']), '127.0.0.1')).toBe(
    'x509: certificate is valid for 10.0.0.1, 10.0.0.2, not 127.0.0.1',
  )
  expect(await addressProblem(names(['localhost']), '127.0.0.1')).toBeUndefined()
  expect(await addressProblem(names(['other.invalid'], ['10.0.0.1']), '127.0.0.1')).toBe(
    'tls: "127.0.0.1" does not match any of DNSNames ["other.invalid"]',
  )
})
