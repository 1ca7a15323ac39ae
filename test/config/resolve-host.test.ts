// Goal: a name becomes an address with the same port. Method: the one name every machine knows.
import { expect, test } from 'vitest'
import { resolveByDns } from '../../src/config/resolve-host.js'

test('localhost resolves to a loopback address and keeps its port', async () => {
  expect(await resolveByDns('localhost:2380')).toMatch(/^(127\.0\.0\.1|\[::1\]):2380$/)
})

test('an address without a port is refused without a look-up', async () => {
  await expect(resolveByDns('somewhere')).rejects.toThrow(
    'address somewhere: missing port in address',
  )
})
