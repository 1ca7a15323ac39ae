// Goal: requests go to members that answer, and the list of members is kept fresh. Method: a director with a list that
// the test changes, under a clock that the test moves.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Log, LogFields } from '../../src/ports/log.js'
import { EndpointDirector } from '../../src/proxy/endpoint-director.js'

let urls: readonly string[] = []
let asked = 0
let lines: [string, LogFields | undefined][] = []
const say = (message: string, fields?: LogFields): void => {
  lines.push([message, fields])
}
const log: Log = { isDebugEnabled: false, debug: say, info: say, warn: say, error: say }
let director: EndpointDirector

function create(refreshIntervalMs = 30_000): EndpointDirector {
  director = new EndpointDirector({
    findUrls: async () => {
      asked += 1
      return urls
    },
    failureWaitMs: 5000,
    refreshIntervalMs,
    // Each item changes places with the first so far.
    entropy: { below: () => 0 },
    log,
  })
  return director
}

const texts = (): string[] => director.available().map(({ text }) => text)

beforeEach(() => {
  vi.useFakeTimers()
  urls = ['http://a:1', 'http://b:1', 'http://c:1']
  asked = 0
  lines = []
})
afterEach(() => {
  director.stop()
  vi.useRealTimers()
})

test('all members are available, in an order that chance decides', async () => {
  await create().start()
  expect(texts()).toEqual(['http://c:1', 'http://a:1', 'http://b:1'])
  expect(lines).toEqual([['endpoints found', { endpoints: texts() }]])
})

test('a member that failed is left alone for a while', async () => {
  await create().start()
  const [first] = director.available()
  first?.markFailed()
  first?.markFailed()
  expect(texts()).toEqual(['http://a:1', 'http://b:1'])
  await vi.advanceTimersByTimeAsync(4999)
  expect(texts()).toHaveLength(2)
  await vi.advanceTimersByTimeAsync(1)
  expect(texts()).toEqual(['http://c:1', 'http://a:1', 'http://b:1'])
  expect(lines.map(([message]) => message)).toEqual([
    'endpoints found',
    'marked endpoint unavailable',
    'marked endpoint available, to retest connectivity',
  ])
})

test('the list is looked at again after the interval, with everybody available', async () => {
  await create().start()
  director.available()[0]?.markFailed()
  urls = ['http://c:1']
  await vi.advanceTimersByTimeAsync(29_999)
  expect(asked).toBe(1)
  await vi.advanceTimersByTimeAsync(1)
  expect(asked).toBe(2)
  expect(texts()).toEqual(['http://c:1'])
})

test('while nobody is known it is looked at every second', async () => {
  urls = []
  await create().start()
  await vi.advanceTimersByTimeAsync(2000)
  expect(asked).toBe(3)
  expect(lines).toEqual([])
})

test('a shorter interval is kept then too, but never none at all', async () => {
  urls = []
  await create(5000).start()
  await vi.advanceTimersByTimeAsync(4999)
  expect(asked).toBe(1)
  director.stop()
  asked = 0
  await create(0).start()
  await vi.advanceTimersByTimeAsync(99)
  expect(asked).toBe(1)
  await vi.advanceTimersByTimeAsync(1)
  expect(asked).toBe(2)
})

test('what is no URL is left out', async () => {
  urls = ['http://a:1', 'nonsense']
  await create().start()
  expect(texts()).toEqual(['http://a:1'])
  expect(lines[0]?.[0]).toBe('upstream URL invalid')
})

test('after the stop nothing is asked any more', async () => {
  await create().start()
  director.stop()
  await vi.advanceTimersByTimeAsync(100_000)
  expect(asked).toBe(1)
})
