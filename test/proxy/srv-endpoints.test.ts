// Goal: endpoints from SRV records are those that can be used. Method: records that the test gives, with listeners on
// loopback behind them.
import { type AddressInfo, createServer } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { SrvRecord } from '../../src/discovery/dns-lookups.js'
import type { Log } from '../../src/ports/log.js'
import { discoverEndpoints } from '../../src/proxy/srv-endpoints.js'

const server = createServer((socket) => socket.on('error', () => undefined))
let port = 0
beforeAll(
  () =>
    new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', () => {
        port = (server.address() as AddressInfo).port
        resolve()
      })
    }),
)
afterAll(() => {
  server.close()
})

const said: string[] = []
const say = (message: string): void => {
  said.push(message)
}
const log: Log = { isDebugEnabled: false, debug: say, info: say, warn: say, error: say }

function discover(
  records: Readonly<Record<string, readonly SrvRecord[]>>,
  options: { readonly isInsecure: boolean; readonly serviceName?: string },
) {
  said.length = 0
  const srv = async (service: string, domain: string): Promise<readonly SrvRecord[]> => {
    const found = records[service]
    if (found === undefined) throw new Error(`lookup _${service}._tcp.${domain}: no such host`)
    return found
  }
  const lookups = { srv, address: async (hostAndPort: string) => hostAndPort }
  const common = { domain: 'd.test', serviceName: '', trustedCaFile: '', random: () => 0 }
  return discoverEndpoints({ ...common, lookups, log, ...options })
}

const record = (at: number, priority = 0): SrvRecord => ({
  ...{ target: '127.0.0.1', port: at, priority, weight: 5 },
})

test('all of both services are taken when that is wanted', async () => {
  const records = { 'etcd-client-ssl': [record(1, 2)], 'etcd-client': [record(2)] }
  expect(await discover(records, { isInsecure: true })).toEqual([
    { host: '127.0.0.1', port: 1, priority: 2, weight: 5, url: 'https://127.0.0.1:1' },
    { host: '127.0.0.1', port: 2, priority: 0, weight: 5, url: 'http://127.0.0.1:2' },
  ])
  expect(said).toEqual(['discovered cluster from SRV'])
})

test('otherwise only those with TLS that accept a connection', async () => {
  const records = { 'etcd-client-ssl-x': [record(port)], 'etcd-client-x': [record(port)] }
  const found = await discover(records, { isInsecure: false, serviceName: 'x' })
  expect(found.map(({ url }) => url)).toEqual([`https://127.0.0.1:${port}`])
  expect(said.at(-1)).toBe('failed to validate discovered endpoints')
  const secure = { 'etcd-client-ssl-x': [record(port)] }
  await discover(secure, { isInsecure: false, serviceName: 'x' })
  expect(said.at(-1)).toBe('using validated discovered SRV endpoints')
})

test('no records of either service are an error', async () => {
  await expect(discover({}, { isInsecure: true })).rejects.toThrow(
    'dns lookup errors: lookup _etcd-client-ssl._tcp.d.test: no such host and ' +
      'lookup _etcd-client._tcp.d.test: no such host',
  )
})
