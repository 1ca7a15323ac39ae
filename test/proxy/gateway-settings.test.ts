// Goal: a gateway goes where its flags say and never to itself. Method: endpoints and addresses as they are written, with
// names that the test resolves.
import { expect, test } from 'vitest'
import { bareEndpoint, checkListenAddress, remotesOf } from '../../src/proxy/gateway-settings.js'

test.each([
  ['127.0.0.1:2379', '127.0.0.1:2379'],
  ['http://127.0.0.1:1', '127.0.0.1:1'],
  ['https://user@name.test:1/path', 'name.test:1'],
  ['name.test', 'name.test:2379'],
  ['http://name.test', 'name.test:2379'],
  ['[::1]:5', '[::1]:5'],
])('%s is %s', (given, bare) => {
  expect(bareEndpoint(given)).toBe(bare)
})

test('endpoints become remotes', () => {
  expect(remotesOf(['a:1', 'http://[::1]:2', 'b:70000'])).toEqual({
    kind: 'value',
    value: [
      { host: 'a', port: 1, priority: 0, weight: 0 },
      { host: '::1', port: 2, priority: 0, weight: 0 },
      { host: 'b', port: 0, priority: 0, weight: 0 },
    ],
  })
  expect(remotesOf(['::1'])).toMatchObject({ line: 'error parsing endpoint "::1"' })
})

const names: Readonly<Record<string, readonly string[]>> = {
  here: ['10.0.0.1', '10.0.0.2'],
  there: ['10.0.0.9', '10.0.0.2'],
}
const lookupHost = async (host: string): Promise<readonly string[]> => {
  const found = names[host]
  if (found === undefined) throw new Error('no such host')
  return found
}
const remote = (host: string, port: number) => ({ host, port, priority: 0, weight: 0 })

test.each([
  ['here', 'failed to validate listen address: here\n'],
  ['nowhere:1', 'failed to resolve listen host: nowhere\n'],
  [
    'here:5',
    'SRV or endpoint (there:5->10.0.0.2:5) should not resolve to the gateway listen addr (here:5)\n',
  ],
])('listening on %s is refused', async (address, line) => {
  const checked = await checkListenAddress(address, [remote('there', 5)], lookupHost)
  expect(checked).toEqual({ kind: 'refused', line })
})

test('an endpoint must have an address', async () => {
  const checked = await checkListenAddress('here:5', [remote('gone', 6)], lookupHost)
  expect(checked).toEqual({ kind: 'refused', line: 'failed to resolve endpoint host: gone\n' })
})

test('another port of the same host is another place', async () => {
  const checked = await checkListenAddress('here:5', [remote('there', 6)], lookupHost)
  expect(checked).toEqual({ kind: 'value', value: { host: 'here', port: 5 } })
})
