// Goal: damage to a store's files is found before LevelDB opens them, or costs no more than the newest batches. Method:
// a small real store with tables and a log; bytes of every file are changed, or the file is cut or removed.
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { checkLevelDirectory, StoreDamaged } from '../../src/platform/level-check.js'
import { LevelEngines } from '../../src/platform/level-engine.js'
import { checkTable, scanLog } from '../../src/platform/level-format.js'
import { TableChecks } from '../../src/platform/table-checks.js'
import type { EngineEntry, KeyValueEngine } from '../../src/ports/key-value-engine.js'

const BATCHES = 24
const base = join(import.meta.dirname, '../../.tmp/level-check')
let parent: string
let pristine: string

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const promised = (run: (done: (failure: Error | undefined) => void) => void): Promise<void> =>
  new Promise((resolve, reject) => {
    run((failure) => (failure === undefined ? resolve() : reject(failure)))
  })

function open(name: string): Promise<KeyValueEngine> {
  return new Promise((resolve, reject) => {
    new LevelEngines(parent).open(name, (failure, engine) =>
      engine === undefined ? reject(failure) : resolve(engine),
    )
  })
}

/** Batch `n` puts a row of its own and the number n under `last`. */
async function writeBatch(engine: KeyValueEngine, n: number): Promise<void> {
  const batch = engine.batch()
  batch.put(bytesOf(`row${String(n).padStart(3, '0')}`), bytesOf(`${n}`.repeat(400)))
  batch.put(bytesOf('last'), bytesOf(String(n)))
  await promised((done) => batch.write({ sync: false }, done))
}

/** The number of the last batch; throws when the content is not that of all batches up to it. */
async function lastBatch(name: string): Promise<number> {
  const engine = await open(name)
  const iterator = engine.iterator({ start: bytesOf('a'), end: bytesOf('z') })
  const entries = await new Promise<readonly EngineEntry[]>((resolve, reject) => {
    iterator.next(1000, (failure, found) =>
      failure === undefined ? resolve(found) : reject(failure),
    )
  })
  iterator.close()
  await promised((done) => engine.close(done))
  const text = new TextDecoder()
  const found = new Map(entries.map(({ key, value }) => [text.decode(key), text.decode(value)]))
  const last = Number(found.get('last') ?? 0)
  expect(found.size).toBe(last === 0 ? 0 : last + 1)
  for (let n = 1; n <= last; n++) {
    expect(found.get(`row${String(n).padStart(3, '0')}`)).toBe(`${n}`.repeat(400))
  }
  return last
}

beforeAll(async () => {
  mkdirSync(base, { recursive: true })
  parent = mkdtempSync(join(base, 'run-'))
  pristine = join(parent, 'pristine')
  for (let n = 1; n <= BATCHES; n++) {
    const engine = await open('pristine')
    await writeBatch(engine, n)
    // Opening again turns the log into a table; the last batches stay in a log.
    if (n >= BATCHES - 5) for (n++; n <= BATCHES; n++) await writeBatch(engine, n)
    await promised((done) => engine.close(done))
  }
})
afterAll(() => rmSync(parent, { recursive: true, force: true }))

let copies = 0
function damaged(damage: (folder: string) => void): string {
  const name = `copy${copies++}`
  cpSync(pristine, join(parent, name), { recursive: true })
  damage(join(parent, name))
  return name
}

/** Opens a copy: the number of the last batch, or the file that is complained of. */
async function outcomeOf(damage: (folder: string) => void): Promise<number | string> {
  const name = damaged(damage)
  try {
    return await lastBatch(name)
  } catch (error) {
    if (!(error instanceof StoreDamaged)) throw error
    return error.message.replace(/^store: .*\//, '')
  }
}

const LIVE_FILE = /^(\d+\.(ldb|log)|CURRENT|MANIFEST-\d+)$/
const filesOf = (): readonly string[] =>
  readdirSync(pristine).filter((name) => LIVE_FILE.test(name))

test('a whole store passes, and so do a new one and none', async () => {
  expect(await outcomeOf(() => undefined)).toBe(BATCHES)
  expect(filesOf().some((name) => name.endsWith('.ldb'))).toBe(true)
  expect(filesOf().some((name) => name.endsWith('.log'))).toBe(true)
  checkLevelDirectory(join(parent, 'nowhere'))
  mkdirSync(join(parent, 'empty'))
  checkLevelDirectory(join(parent, 'empty'))
})

test('a changed byte anywhere is refused with file and offset, or costs the newest batches', async () => {
  const seen = new Set<string>()
  for (const file of filesOf()) {
    const { length } = readFileSync(join(pristine, file))
    for (let at = 0; at < length; at += Math.max(1, Math.floor(length / 12))) {
      const outcome = await outcomeOf((folder) => {
        const bytes = readFileSync(join(folder, file))
        bytes[at] = (bytes[at] as number) ^ 0x41
        writeFileSync(join(folder, file), bytes)
      })
      if (typeof outcome === 'string') expect(outcome).toMatch(/^\S+ at offset \d+: .+/)
      // A footer has a few bytes that nobody reads.
      else if (!file.endsWith('.ldb')) expect(outcome).toBeLessThan(BATCHES)
      else expect(outcome).toBe(BATCHES)
      seen.add(`${file.replace(/.*\.|-.*/, '')} ${typeof outcome}`)
    }
  }
  expect(seen).toEqual(
    new Set(['ldb string', 'log number', 'CURRENT string', 'MANIFEST string', ...seenFooter(seen)]),
  )
})

/** Whether a byte was met that nobody reads depends on where the steps fall. */
const seenFooter = (seen: ReadonlySet<string>): string[] =>
  seen.has('ldb number') ? ['ldb number'] : []

test('a file that is cut or missing is refused, or costs the newest batches', async () => {
  for (const file of filesOf()) {
    const cut = await outcomeOf((folder) => {
      const bytes = readFileSync(join(folder, file))
      writeFileSync(join(folder, file), bytes.subarray(0, bytes.length >> 1))
    })
    const removed = await outcomeOf((folder) => rmSync(join(folder, file)))
    for (const outcome of [cut, removed]) {
      if (typeof outcome === 'string') expect(outcome).toContain(' at offset ')
      else expect(file).toMatch(/\.log$|MANIFEST/)
    }
  }
})

test('what comes behind a damaged record of a log is cut off and kept', () => {
  const name = damaged((folder) => {
    const file = filesOf().find((one) => one.endsWith('.log')) ?? ''
    const bytes = readFileSync(join(folder, file))
    bytes[Math.floor(bytes.length / 2)] = 0xee
    writeFileSync(join(folder, file), bytes)
    writeFileSync(join(folder, '999999.log'), bytes)
  })
  checkLevelDirectory(join(parent, name))
  const kept = readdirSync(join(parent, name)).filter((one) => one.endsWith('.broken'))
  expect(kept).toHaveLength(2)
  expect(kept).toContain('999999.log.broken')
  checkLevelDirectory(join(parent, name))
  expect(readdirSync(join(parent, name))).toContain(kept[0])
})

test('zeros at the end of a log or a manifest are a write that was cut off', async () => {
  for (const file of filesOf().filter((name) => /\.log$|^MANIFEST/.test(name))) {
    const outcome = await outcomeOf((folder) => {
      const bytes = readFileSync(join(folder, file))
      writeFileSync(join(folder, file), Buffer.concat([bytes, Buffer.alloc(5000)]))
    })
    expect(outcome).toBe(BATCHES)
  }
})

test('a large store is verified on a thread, and damage is remembered', async () => {
  const program = new URL('../../dist/platform/level-check-worker.js', import.meta.url)
  const [name, mark] = [damaged(() => undefined), join(parent, 'mark')]
  const tables = checkLevelDirectory(join(parent, name))
  const checks = (): TableChecks => new TableChecks({ mark, program, inlineBytesMax: 0 })
  const whole = checks()
  await whole.begin(tables)
  await whole.finish()
  const path = tables[0]?.path ?? ''
  const bytes = readFileSync(path)
  bytes[10] = (bytes[10] as number) ^ 1
  writeFileSync(path, bytes)
  const found = checks()
  await found.begin(tables)
  // What LevelDB has replaced is still looked at.
  rmSync(path)
  await expect(found.finish()).rejects.toThrow(`store: ${path} at offset 0: block checksum`)
  await expect(checks().begin([])).rejects.toThrow(`store: ${path} at offset 0: block checksum`)
  await expect(
    new TableChecks({ mark: `${mark}2`, program, inlineBytesMax: 0 }).begin(tables),
  ).rejects.toThrow('ENOENT')
})

test('neither scan throws over garbage', () => {
  for (const length of [0, 3, 7, 47, 48, 200, 40_000]) {
    for (const fill of [0, 1, 0xff]) {
      const bytes = new Uint8Array(length).fill(fill)
      expect(scanLog(bytes).goodEnd).toBe(0)
      expect(checkTable(bytes)).toBeDefined()
    }
  }
})
