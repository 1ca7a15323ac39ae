// Goal: passwords are hashed aside from everything else, within bounds, and as Go's bcrypt has
// them. Method: real threads of the built program at bcrypt's lowest cost, and programs that break.
import { existsSync } from 'node:fs'
import { afterEach, describe, expect, test } from 'vitest'
import {
  PasswordThreads,
  type PasswordThreadsOptions,
} from '../../src/platform/password-threads.js'
import type { CheckOutcome, HashOutcome } from '../../src/ports/passwords.js'

const PROGRAM = new URL('../../dist/platform/password-worker.js', import.meta.url)
/** Of `p`, made by golang.org/x/crypto/bcrypt in etcd 3.4.23. */
const GO_HASH = '$2a$10$652JVno0lBWq0pWdJpcVzeldnTE5sRFgQqL3HLFrSv3A4D.Qb4l6K'

const open: PasswordThreads[] = []
afterEach(async () => {
  for (const threads of open.splice(0)) await threads.close()
})

function start(options: Partial<PasswordThreadsOptions> = {}): PasswordThreads {
  const threads = new PasswordThreads({ cost: 4, program: PROGRAM, ...options })
  open.push(threads)
  return threads
}

const hash = (threads: PasswordThreads, password: string): Promise<HashOutcome> =>
  new Promise((resolve) => threads.hash(password, resolve))
const check = (threads: PasswordThreads, text: string, password: string): Promise<CheckOutcome> =>
  new Promise((resolve) => threads.check(text, password, resolve))

const program = (text: string): URL => new URL(`data:text/javascript,${encodeURIComponent(text)}`)

describe.skipIf(!existsSync(PROGRAM))('hashing in threads', () => {
  test('a hash has a salt of its own and is found right again', async () => {
    const threads = start({ threadsMax: 2 })
    const made = await Promise.all(['p', 'p', 'ä😀'].map((text) => hash(threads, text)))
    const texts = made.map((outcome) => (outcome.kind === 'hash' ? outcome.hash : outcome.kind))
    for (const text of texts) expect(text).toMatch(/^\$2a\$04\$[./A-Za-z0-9]{53}$/)
    expect(new Set(texts).size).toBe(3)
    const right = { kind: 'checked', isRight: true }
    expect(await check(threads, texts[0] ?? '', 'p')).toEqual(right)
    expect(await check(threads, texts[2] ?? '', 'ä😀')).toEqual(right)
    expect(await check(threads, texts[2] ?? '', 'ä')).toEqual({ ...right, isRight: false })
    expect(await check(threads, GO_HASH, 'p')).toEqual(right)
    expect(await check(threads, GO_HASH, 'q')).toEqual({ ...right, isRight: false })
    expect(await check(threads, '', '')).toEqual({ ...right, isRight: false })
    expect(await check(threads, 'no hash', 'no hash')).toEqual({ ...right, isRight: false })
  })

  test('more than 72 bytes are not hashed, as the rest would not count', async () => {
    const threads = start()
    expect(await hash(threads, 'ä'.repeat(36))).toMatchObject({ kind: 'hash' })
    expect(await hash(threads, `${'ä'.repeat(36)}x`)).toEqual({ kind: 'too-long' })
  })
})

describe('bounds and failures', () => {
  test('as many wait as may; the next is told so, never at once', async () => {
    const threads = start({
      program: program('setInterval(() => {}, 1e6)'),
      threadsMax: 1,
      waitingMax: 1,
    })
    const outcomes: string[] = []
    for (const text of ['a', 'b', 'c']) {
      threads.check('', text, ({ kind }) => outcomes.push(`${text} ${kind}`))
    }
    expect(outcomes).toEqual([])
    await new Promise((resolve) => setImmediate(resolve))
    expect(outcomes).toEqual(['c busy'])
    await threads.close()
    expect(outcomes).toEqual(['c busy', 'a failed', 'b failed'])
    expect(await check(threads, '', 'd')).toEqual({ kind: 'failed', reason: 'closed' })
  })

  test('there are as many threads as may be, and none when nothing has come for a while', async () => {
    const echo =
      'import { parentPort as port } from "node:worker_threads";' +
      'port.on("message", (job) => port.postMessage(job.password))'
    const threads = start({ program: program(echo), threadsMax: 2, idleMs: 20 })
    const answers = Promise.all(['a', 'b', 'c'].map((text) => hash(threads, text)))
    expect(threads.threadCount).toBe(2)
    expect(await answers).toEqual(['a', 'b', 'c'].map((text) => ({ kind: 'hash', hash: text })))
    while (threads.threadCount > 0) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(await hash(threads, 'd')).toEqual({ kind: 'hash', hash: 'd' })
  })

  test('a thread that ends takes its job with it, and the next job gets another', async () => {
    const threads = start({ program: program('throw new Error("broken")'), threadsMax: 1 })
    const both = await Promise.all([hash(threads, 'a'), hash(threads, 'b')])
    expect(both).toEqual([
      { kind: 'failed', reason: 'broken' },
      { kind: 'failed', reason: 'broken' },
    ])
    const silent = start({ program: program('process.exit(3)'), threadsMax: 1 })
    expect(await hash(silent, 'a')).toEqual({ kind: 'failed', reason: 'ended with 3' })
  })
})
