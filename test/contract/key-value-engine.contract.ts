// Goal: every engine keeps the contract of src/ports/key-value-engine.ts. Method: the same tests on each of them.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type {
  Completion,
  CompletionWith,
  EngineEntry,
  EngineIterator,
  KeyValueEngine,
  KeyValueEngines,
} from '../../src/ports/key-value-engine.js'

export interface EnginesUnderTest {
  readonly engines: KeyValueEngines
  /** Loses power, with all unsynced batches but the first `keep`; absent where it cannot be provoked. */
  readonly powerLoss?: (keep: number) => void
  readonly cleanUp: () => Promise<void>
}

/** A completion as a promise. */
export const completed = (start: (done: Completion) => void): Promise<void> =>
  new Promise((resolve, reject) => {
    start((failure) => (failure === undefined ? resolve() : reject(failure)))
  })

export const given = <T>(start: (done: CompletionWith<T>) => void): Promise<T> =>
  new Promise((resolve, reject) => {
    start((failure, result) => (failure === undefined ? resolve(result) : reject(failure)))
  })

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (value: Uint8Array | undefined): string | undefined =>
  value === undefined ? undefined : new TextDecoder().decode(value)
const ALL = { start: new Uint8Array([0]), end: new Uint8Array([0xff]) }

export const openNamed = async (
  engines: KeyValueEngines,
  name: string,
): Promise<KeyValueEngine> => {
  const engine = await given<KeyValueEngine | undefined>((done) => engines.open(name, done))
  if (engine === undefined) throw new Error('no engine')
  return engine
}

const write = (
  engine: KeyValueEngine,
  changes: Readonly<Record<string, string | undefined>>,
  sync = false,
): Promise<void> => {
  const batch = engine.batch()
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) batch.delete(bytes(key))
    else batch.put(bytes(key), bytes(value))
  }
  return completed((done) => batch.write({ sync }, done))
}

const drain = async (iterator: EngineIterator, entriesMax = 3): Promise<string> => {
  const found: string[] = []
  for (;;) {
    const entries = await given<readonly EngineEntry[]>((done) => iterator.next(entriesMax, done))
    if (entries.length === 0) break
    for (const { key, value } of entries) found.push(`${text(key)}=${text(value)}`)
  }
  iterator.close()
  return found.join(' ')
}

export function keyValueEngineContract(name: string, create: () => EnginesUnderTest): void {
  describe(`${name} keeps the contract of an engine`, () => {
    let under: EnginesUnderTest
    let engine: KeyValueEngine
    beforeEach(async () => {
      under = create()
      engine = await openNamed(under.engines, 'one')
    })
    afterEach(async () => {
      await completed((done) => engine.close(done))
      await under.cleanUp()
    })

    test('reads what a batch put, and not what it deleted', async () => {
      await write(engine, { a: '1', b: '2' })
      await write(engine, { a: undefined, c: '' })
      expect(['a', 'b', 'c', 'd'].map((key) => text(engine.get(bytes(key))))).toEqual([
        undefined,
        '2',
        '',
        undefined,
      ])
      const many = await given<readonly (Uint8Array | undefined)[]>((done) =>
        engine.getMany([bytes('b'), bytes('a')], done),
      )
      expect(many.map(text)).toEqual(['2', undefined])
    })

    test('lets the later change of a key in one batch win', async () => {
      const batch = engine.batch()
      batch.put(bytes('k'), bytes('old'))
      batch.delete(bytes('k'))
      batch.put(bytes('k'), bytes('new'))
      expect(batch.count).toBe(3)
      await completed((done) => batch.write({ sync: false }, done))
      expect(text(engine.get(bytes('k')))).toBe('new')
    })

    test('copies the bytes that a batch is given', async () => {
      const key = bytes('k')
      const value = bytes('v')
      const batch = engine.batch()
      batch.put(key, value)
      key[0] = 0x78
      value[0] = 0x78
      await completed((done) => batch.write({ sync: false }, done))
      expect(text(engine.get(bytes('k')))).toBe('v')
    })

    test('shows nothing of a batch before it is written, and nothing of a discarded one', async () => {
      const batch = engine.batch()
      batch.put(bytes('k'), bytes('v'))
      expect(engine.get(bytes('k'))).toBeUndefined()
      batch.discard()
      expect(engine.get(bytes('k'))).toBeUndefined()
    })

    test('walks a half-open range in unsigned byte order, either way', async () => {
      await write(engine, { b: '2', a: '1', d: '4', ab: '3', é: '5' })
      expect(await drain(engine.iterator(ALL))).toBe('a=1 ab=3 b=2 d=4 é=5')
      const range = { start: bytes('ab'), end: bytes('d') }
      expect(await drain(engine.iterator(range))).toBe('ab=3 b=2')
      expect(await drain(engine.iterator(range, { isReverse: true }))).toBe('b=2 ab=3')
    })

    test('lets an iterator see the state at its creation', async () => {
      await write(engine, { a: '1', b: '2' })
      const iterator = engine.iterator(ALL)
      await write(engine, { a: undefined, b: 'changed', c: '3' })
      expect(await drain(iterator, 1)).toBe('a=1 b=2')
    })

    test('freezes a snapshot for several readers', async () => {
      await write(engine, { a: '1' })
      const snapshot = engine.snapshot()
      await write(engine, { a: '2', b: '3' })
      expect(await drain(engine.iterator(ALL, { snapshot }))).toBe('a=1')
      expect(await drain(engine.iterator(ALL, { snapshot }))).toBe('a=1')
      snapshot.close()
      snapshot.close()
      expect(await drain(engine.iterator(ALL))).toBe('a=2 b=3')
    })

    test('gives each completion once, and never from inside the call', async () => {
      let calls = 0
      const ended = new Promise<void>((resolve) => {
        engine.compactRange(ALL, () => {
          calls++
          resolve()
        })
      })
      expect(calls).toBe(0)
      await ended
      const size = await given<number>((done) => engine.approximateSize(ALL, done))
      expect(size).toBeGreaterThanOrEqual(0)
      expect(calls).toBe(1)
    })

    test('keeps what was written when it is closed and opened again', async () => {
      await write(engine, { a: '1' })
      await completed((done) => engine.close(done))
      engine = await openNamed(under.engines, 'one')
      expect(text(engine.get(bytes('a')))).toBe('1')
    })

    test('refuses to be read or written once it is closed', async () => {
      await write(engine, { a: '1', b: '2' })
      const iterator = engine.iterator(ALL)
      await given<readonly EngineEntry[]>((done) => iterator.next(1, done))
      await completed((done) => engine.close(done))
      const next = given<readonly EngineEntry[]>((done) => iterator.next(1, done))
      await expect(next).rejects.toThrow()
      const many = given<unknown>((done) => engine.getMany([bytes('a')], done))
      await expect(many).rejects.toThrow()
      expect(() => engine.get(bytes('a'))).toThrow()
      expect(() => engine.batch()).toThrow()
      expect(() => engine.iterator(ALL)).toThrow()
      engine = await openNamed(under.engines, 'one')
    })

    test('renames, lists and destroys closed engines', async () => {
      await write(engine, { a: '1' })
      await completed((done) => engine.close(done))
      await completed((done) => under.engines.rename('one', 'two', done))
      const names = await given<readonly string[]>((done) => under.engines.list(done))
      expect(names).toEqual(['two'])
      engine = await openNamed(under.engines, 'two')
      expect(text(engine.get(bytes('a')))).toBe('1')
      await completed((done) => under.engines.destroy('absent', done))
      await completed((done) => engine.close(done))
      await completed((done) => under.engines.destroy('two', done))
      engine = await openNamed(under.engines, 'two')
      expect(engine.get(bytes('a'))).toBeUndefined()
    })

    test('loses unsynced batches as a suffix when power fails', async (context) => {
      if (under.powerLoss === undefined) {
        context.skip('this engine cannot lose power')
        return
      }
      await write(engine, { a: '1' })
      await write(engine, { b: '2' }, true)
      await write(engine, { c: '3', a: 'x' })
      await write(engine, { d: '4' })
      under.powerLoss(1)
      engine = await openNamed(under.engines, 'one')
      expect(await drain(engine.iterator(ALL))).toBe('a=x b=2 c=3')
    })
  })
}
