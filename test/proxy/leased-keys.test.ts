// Goal: held keys are let go in the order of their use when there are too many, not taken again at once, and their writes
// happen one after the other. Method: the real table; time is vitest's.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Revision } from '../../src/base/ids.js'
import { holdKeys, type KnownValue, LeasedKey, LeasedKeys } from '../../src/proxy/leased-keys.js'
import { KeyValue } from '../../src/wire/mvccpb.js'
import * as rpc from '../../src/wire/rpc.js'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

const KEYS_MAX = 8192
const BYTES_MAX = 64 * 1024 * 1024
const known = (revision: number, bytes = 0): KnownValue => ({
  header: rpc.ResponseHeader.create({ revision: revision as Revision }),
  kv: KeyValue.create({ value: new Uint8Array(bytes) }),
})
const key = (name: string, bytes = 0): LeasedKey => new LeasedKey(name, 5, known(5, bytes))

test('the key that was used least lately makes room', () => {
  const keys = new LeasedKeys()
  for (let at = 0; at < KEYS_MAX; at++) expect(keys.add(key(`k${at}`))).toEqual([])
  keys.use('k0')
  expect(keys.add(key('one more')).map(({ name }) => name)).toEqual(['k1'])
})

test('large values make room by their size, as they grow too', () => {
  const keys = new LeasedKeys()
  const first = key('first', BYTES_MAX / 2)
  const second = key('second')
  expect(keys.add(first)).toEqual([])
  expect(keys.add(second)).toEqual([])
  keys.learn(second, known(6, BYTES_MAX / 2))
  expect(keys.add(key('third'))).toEqual([first])
  expect(keys.maybeRemove(first)).toBe(true)
  expect(keys.maybeRemove(first)).toBe(false)
  expect(keys.add(key('fourth'))).toEqual([])
})

test('a key that was given back is not taken again for two seconds', () => {
  const keys = new LeasedKeys()
  const one = key('one')
  expect(keys.mayTake('one')).toBe(true)
  keys.add(one)
  keys.maybeRemove(one)
  vi.advanceTimersByTime(2000)
  expect(keys.mayTake('one')).toBe(false)
  vi.advanceTimersByTime(1)
  expect(keys.mayTake('one')).toBe(true)
})

test('ranges of keys, with and without an end', () => {
  const keys = new LeasedKeys()
  for (const name of ['a', 'b', 'c']) keys.add(key(name))
  const names = (range: { key: string; end: string }) => keys.within(range).map(({ name }) => name)
  expect(names({ key: 'b', end: '' })).toEqual(['b'])
  expect(names({ key: 'x', end: '' })).toEqual([])
  expect(names({ key: 'a', end: 'c' })).toEqual(['a', 'b'])
  expect(names({ key: 'b', end: '\0' })).toEqual(['b', 'c'])
})

test('writes of a key wait for each other, reads for the writes before them', async () => {
  const one = key('one')
  const two = key('two')
  const order: string[] = []
  const write = async (name: string, keys: readonly LeasedKey[]): Promise<void> => {
    const release = await holdKeys(keys)
    order.push(`${name} begins`)
    await Promise.resolve()
    order.push(`${name} ends`)
    release()
  }
  const first = write('first', [one])
  const both = write('both', [two, one])
  const read = one.settled?.then(() => order.push('read'))
  const last = write('last', [one, two])
  await Promise.all([first, both, read, last])
  expect(order.filter((word) => word !== 'read')).toEqual([
    ...['first begins', 'first ends', 'both begins', 'both ends', 'last begins', 'last ends'],
  ])
  expect(order.indexOf('read')).toBeGreaterThan(order.indexOf('both ends'))
  await vi.waitFor(() => expect(one.settled).toBeUndefined())
})
