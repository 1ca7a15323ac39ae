// Goal: clients that wait get what they wait for, and cost nothing once they are gone. Method: real
// connections
// to the API over a store without raft.
import { once } from 'node:events'
import { type ClientRequest, get, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { WATCHER_QUEUE_MAX } from '../../src/v2store/watcher-hub.js'
import { createLocalServer, type LocalServer } from './local-server.js'
import { createStore } from './local-source.js'

let server: LocalServer
let port: number
const requests: ClientRequest[] = []

beforeEach(async () => {
  server = await createLocalServer()
  await new Promise<void>((resolve) => server.sockets.listen(0, '127.0.0.1', resolve))
  port = (server.sockets.address() as AddressInfo).port
})
afterEach(async () => {
  for (const request of requests.splice(0)) request.destroy()
  server.sockets.close()
  await server.app.close()
})

async function wait(query: string): Promise<IncomingMessage> {
  const request = get({ port, path: `/v2/keys/${query}`, agent: false })
  requests.push(request)
  request.on('error', () => undefined)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return response.setEncoding('utf8')
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of response) text += chunk
  return text
}

const set = (key: string, value: string): void => {
  server.source.current.set({ path: `/1/${key}`, nowMs: 0, value, isDirectory: false })
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe('waiting', () => {
  test('headers come at once, the event when it happens', async () => {
    const response = await wait('a?wait=true')
    expect(response.headers).toMatchObject({ 'x-etcd-index': '3', 'transfer-encoding': 'chunked' })
    expect(server.handler.waiterCount).toBe(1)
    set('a', '1')
    expect(JSON.parse(await textOf(response))).toMatchObject({ action: 'set' })
    expect(server.handler.waiterCount).toBe(0)
    expect(server.source.current.watcherCount).toBe(0)
  })

  test('every waiter of one event gets it', async () => {
    const responses = await Promise.all(Array.from({ length: 600 }, () => wait('a?wait=true')))
    expect(server.source.current.watcherCount).toBe(600)
    set('a', 'for all')
    const texts = new Set(await Promise.all(responses.map(textOf)))
    expect(texts.size).toBe(1)
    expect(server.handler.waiterCount).toBe(0)
  })

  test('a client that leaves takes its watcher along', async () => {
    await wait('a?wait=true')
    await wait('a?wait=true&stream=true')
    expect(server.source.current.watcherCount).toBe(2)
    for (const request of requests) request.destroy()
    await until(() => server.handler.waiterCount === 0)
    expect(server.source.current.watcherCount).toBe(0)
  })

  test('a stream that is not read ends, and what it costs is bounded', async () => {
    const response = await wait('?wait=true&stream=true&recursive=true')
    response.pause()
    const value = 'x'.repeat(100_000)
    let written = 0
    while (server.source.current.watcherCount > 0 && written < 1000) {
      set('a', value)
      written++
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(written).toBeGreaterThan(WATCHER_QUEUE_MAX)
    expect(written).toBeLessThan(1000)
    const lines = (await textOf(response)).trim().split('\n')
    expect(lines.length).toBeLessThan(written)
    expect(lines.map((line) => JSON.parse(line).node.modifiedIndex)).toEqual(
      lines.map((_, at) => 4 + at),
    )
  })

  test('a snapshot that is taken over moves who waits to the new tree', async () => {
    const once = await wait('a?wait=true')
    const late = await wait('b?wait=true')
    const missed = await wait('c?wait=true')
    const fresh = createStore()
    fresh.set({ path: '/1/a', nowMs: 0, value: 'while away', isDirectory: false })
    server.source.current = fresh
    expect(JSON.parse(await textOf(once)).node).toMatchObject({ value: 'while away' })
    set('b', 'later')
    expect(JSON.parse(await textOf(late)).node).toMatchObject({ value: 'later' })
    for (let at = 0; at < 1200; at++) {
      fresh.set({ path: '/1/other', nowMs: 0, value: '', isDirectory: false })
    }
    const cleared = createStore()
    cleared.recover(fresh.saveNoCopy())
    for (let at = 0; at < 1200; at++) {
      cleared.set({ path: '/1/other', nowMs: 0, value: '', isDirectory: false })
    }
    server.source.current = cleared
    expect(await textOf(missed)).toBe('')
  })

  test('a stream hears all that happened in a snapshot that is taken over, and goes on', async () => {
    const stream = await wait('a?wait=true&stream=true')
    const fresh = createStore()
    const values = ['one', 'two', 'three']
    for (const value of values) fresh.set({ path: '/1/a', nowMs: 0, value, isDirectory: false })
    server.source.current = fresh
    await until(() => fresh.watcherCount === 1)
    set('a', 'four')
    let text = ''
    for await (const chunk of stream) {
      text += chunk
      if (text.split('\n').length > 4) break
    }
    const heard = text.trim().split('\n')
    expect(heard.map((line) => JSON.parse(line).node.value)).toEqual([...values, 'four'])
  })

  test('the end of the daemon sends everybody away', async () => {
    const response = await wait('a?wait=true')
    const streaming = await wait('a?wait=true&stream=true')
    await server.app.close()
    expect([await textOf(response), await textOf(streaming)]).toEqual(['', ''])
    expect(server.source.current.watcherCount).toBe(0)
  })
})
