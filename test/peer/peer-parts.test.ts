/** Goal: the small rules of the transport. Method: examples. */
import { describe, expect, test } from 'vitest'
import { incompatibility, supportsStreams } from '../../src/peer/compatibility.js'
import { networkErrorText } from '../../src/peer/dial.js'
import { goDuration } from '../../src/peer/go-duration.js'
import { isPeerUrl, UrlPicker } from '../../src/peer/url-picker.js'

describe('compatibility', () => {
  const local = { serverVersion: '3.5.0', minClusterVersion: '3.0.0', clusterIdText: 'abc' }

  test.each([
    [{}, undefined],
    [{ serverVersion: '3.7.1' }, undefined],
    [{ serverVersion: '3.0.0' }, undefined],
    [{ serverVersion: '2.3.8', minClusterVersion: '2.2.0' }, 'incompatible version'],
    [{ serverVersion: '3.6.0-alpha.0', minClusterVersion: '3.5.99' }, undefined],
    [{ minClusterVersion: '3.6.0' }, 'incompatible version'],
    [{ minClusterVersion: undefined }, undefined],
    [{ serverVersion: '' }, 'incompatible version'],
    [{ clusterIdText: 'abd' }, 'cluster ID mismatch'],
    [{ clusterIdText: undefined }, 'cluster ID mismatch'],
    [{ serverVersion: '1.0.0', clusterIdText: 'abd' }, 'incompatible version'],
  ])('of %o is %s', (change, expected) => {
    expect(incompatibility({ ...local, ...change }, 'abc')).toBe(expected)
  })

  test('streams exist since 2.1', () => {
    const versions = [undefined, '2.0.13', '2.1.0', '3.5.33', '4.0.0', 'x']
    expect(versions.map(supportsStreams)).toEqual([false, false, true, true, true, false])
  })
})

describe('the URL picker', () => {
  test('stays until its URL fails, and moves once however many saw it fail', () => {
    const picker = new UrlPicker(['http://a:1', 'http://b:1'])
    const first = picker.pick()
    expect(picker.pick().host).toBe('a:1')
    picker.unreachable(first)
    picker.unreachable(first)
    expect(picker.pick().host).toBe('b:1')
    picker.unreachable(picker.pick())
    expect(picker.pick().host).toBe('a:1')
  })

  test('begins anew with other URLs, and a failure of an old one moves nothing', () => {
    const picker = new UrlPicker(['http://a:1', 'http://b:1'])
    const old = picker.pick()
    picker.update(['http://c:1', 'http://d:1'])
    picker.unreachable(old)
    expect(picker.pick().host).toBe('c:1')
  })

  test('takes only URLs that can be dialled for peer URLs', () => {
    const urls = ['http://a:1', 'https://[::1]:2380', 'unix://a:1', 'ftp://a', 'a:1', '', 'http://']
    expect(urls.map(isPeerUrl)).toEqual([true, true, true, false, false, false, false])
  })
})

test.each([
  [0, '0s'],
  [0.0000004, '0s'],
  [0.0005, '500ns'],
  [0.416079, '416.079µs'],
  [15.701311, '15.701311ms'],
  [1500, '1.5s'],
  [90_000, '1m30s'],
  [3_723_500, '1h2m3.5s'],
  [-2000, '-2s'],
])('%d ms read %s in Go', (milliseconds, text) => {
  expect(goDuration(milliseconds)).toBe(text)
})

test.each([
  [
    { code: 'ECONNREFUSED', address: '::1', port: 2380 },
    'dial tcp ::1:2380: connect: connection refused',
  ],
  [{ code: 'ECONNRESET' }, 'read: connection reset by peer'],
  [{ code: 'EPIPE' }, 'write: broken pipe'],
  [{ code: 'ENOTFOUND', hostname: 'x.invalid' }, 'dial tcp: lookup x.invalid: no such host'],
  [
    { code: 'ETIMEDOUT', syscall: 'connect', address: '10.0.0.1', port: 1 },
    'dial tcp 10.0.0.1:1: i/o timeout',
  ],
  [{ code: 'ETIMEDOUT' }, 'i/o timeout'],
  [{ code: 'EWHATEVER', message: 'what happened' }, 'what happened'],
])('%o reads %s', (fields, text) => {
  expect(networkErrorText(Object.assign(new Error(), fields))).toBe(text)
})
