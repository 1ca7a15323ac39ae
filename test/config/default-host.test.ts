// Goal: the default host is advertised only where nothing else was said. Method: a detector that always
// finds one address, and a made-up routing table.
import { networkInterfaces } from 'node:os'
import { expect, test } from 'vitest'
import { detectDefaultHost } from '../../src/config/default-host.js'
import { parseServerConfig } from '../../src/config/parse-config.js'
import { configOf } from './given.js'

function advertised(...argv: readonly string[]): readonly string[] {
  const outcome = parseServerConfig(
    argv,
    {},
    () => '',
    () => '10.1.2.3',
  )
  return configOf(outcome).initialAdvertisePeerUrls.map((url) => url.text)
}

test('an open listener advertises the detected host, unless told otherwise', () => {
  const open = '--listen-peer-urls=http://0.0.0.0:7'
  expect(advertised(open)).toEqual(['http://10.1.2.3:7'])
  expect(advertised(open, '--initial-advertise-peer-urls=http://a:1')).toEqual(['http://a:1'])
  expect(advertised()).toEqual(['http://localhost:2380'])
  expect(advertised('--listen-peer-urls=http://127.0.0.1:7')).toEqual(['http://localhost:2380'])
})

test('the interface of the default route is looked up', () => {
  const [name = 'none', addresses = []] = Object.entries(networkInterfaces())[0] ?? []
  const expected = addresses.find((address) => address.family === 'IPv4')?.address
  const header = 'Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n'
  const route = (iface: string, destination: string): string =>
    `${header}${iface}\t${destination}\t0\t3\t0\t0\t0\t00000000\n`
  expect(detectDefaultHost(() => route(name, '00000000'))).toBe(expected)
  expect(detectDefaultHost(() => route(name, '0000000A'))).toBeUndefined()
  expect(
    detectDefaultHost(() => {
      throw new Error('no file')
    }),
  ).toBeUndefined()
})
