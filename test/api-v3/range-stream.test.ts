// Goal: a range comes in parts that make up the whole, also to a client that takes its time; and a stream does not read
// on in a store that a received snapshot has replaced. Method: the method itself, over a store and a client that are
// here.
import { expect, test } from 'vitest'
import type { ServiceContext } from '../../src/api-v3/method.js'
import { rangeStreamMethod } from '../../src/api-v3/range-stream.js'
import { bytesFromLatin1 } from '../../src/base/latin1.js'
import { KeyValue } from '../../src/wire/mvccpb.js'
import { RangeRequest, RangeStreamResponse } from '../../src/wire/rpc.js'
import { type Fixture, openFixture, put } from '../backend/store-fixture.js'

const KEYS = 40

/** Takes one response at a time, and tells when it wants the next. */
class SlowCall {
  readonly keys: string[] = []
  readonly parts: RangeStreamResponse[] = []
  ending = ''
  isCancelled = false
  #onDrain: (() => void) | undefined

  send(response: Parameters<typeof RangeStreamResponse.encode>[0]): boolean {
    const part = RangeStreamResponse.decode(RangeStreamResponse.encode(response))
    this.parts.push(part)
    for (const { key } of part.rangeResponse?.kvs ?? []) this.keys.push(Buffer.from(key).toString())
    return false
  }
  end(): void {
    this.ending = 'ended'
  }
  fail({ message }: { message: string }): void {
    this.ending = message
  }
  onDrain(listener: () => void): void {
    this.#onDrain = listener
  }
  onCancel(): void {}
  metadata(): undefined {
    return undefined
  }
  /** Reads what is there, and gives the answer some turns. */
  async read(): Promise<void> {
    this.#onDrain?.()
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
}

async function begin(): Promise<{ call: SlowCall; member: { store: Fixture['store'] } }> {
  const { store } = await openFixture()
  for (let at = 0; at < KEYS; at++) put(store, `key${String(at).padStart(2, '0')}`, 'value')
  const member = { store, isServing: true, leaderId: 1n, isLearner: false, header: headerAt }
  // Parts of about twenty key-values.
  const requestBytesMax = 20 * KeyValue.encode({ key: bytesFromLatin1('key00') }).length
  const context = { member, requestBytesMax, txnOpsMax: 1 } as unknown as ServiceContext
  const call = new SlowCall()
  const range = { key: bytesFromLatin1('key'), rangeEnd: bytesFromLatin1('kez') }
  const { handle } = rangeStreamMethod(context) as {
    handle: (request: RangeRequest, call: unknown) => void
  }
  handle(RangeRequest.create({ ...range, serializable: true }), call)
  await call.read()
  return { call, member }
}

const headerAt = (revision: number) => ({ clusterId: 1n, memberId: 2n, revision, raftTerm: 3 })

test('a range comes in parts, the last of which has the header and the count', async () => {
  const { call } = await begin()
  expect([call.parts.length, call.ending]).toEqual([1, ''])
  for (let reads = 0; reads < KEYS && call.ending === ''; reads++) await call.read()
  expect(call.ending).toBe('ended')
  expect(call.keys).toEqual([...call.keys].sort())
  expect(new Set(call.keys).size).toBe(KEYS)
  const headers = call.parts.map(({ rangeResponse }) => rangeResponse?.header?.revision)
  expect(headers.filter((revision) => revision !== undefined)).toEqual([KEYS + 1])
  expect(call.parts.at(-1)?.rangeResponse?.count).toBe(KEYS)
})

test('a stream ends when the store that it reads was replaced', async () => {
  const { call, member } = await begin()
  const { length } = call.keys
  member.store = (await openFixture()).store
  await call.read()
  expect([call.ending, call.keys.length]).toEqual(['etcdserver: server stopped', length])
})
