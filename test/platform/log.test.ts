// Goal: log lines have the shape of zap's, which tools parse and wait for. Method: lines written to files are read back.
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createLog, type LogOptions } from '../../src/platform/log.js'

const folder = join(import.meta.dirname, '../../.tmp/platform-log')
let count = 0

beforeAll(() => mkdirSync(folder, { recursive: true }))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function lines(
  options: Partial<LogOptions>,
  write: (log: ReturnType<typeof createLog>) => void,
): string[] {
  const file = join(folder, `${++count}.log`)
  const log = createLog({ level: 'info', format: 'json', outputs: [file], ...options })
  write(log)
  log.flush()
  const text = readFileSync(file, 'utf8')
  return text === '' ? [] : text.trimEnd().split('\n')
}

describe('json', () => {
  test('is level, time with microseconds, message, then the fields, in this order', () => {
    const [line] = lines({}, (log) => log.info('ready to serve client requests', { id: 'a', n: 1 }))
    expect(line).toMatch(
      /^\{"level":"info","ts":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z","msg":"ready to serve client requests","id":"a","n":1\}$/,
    )
  })

  test('names each level as zap does', () => {
    const written = lines({ level: 'debug' }, (log) => {
      log.debug('m')
      log.info('m')
      log.warn('m')
      log.error('m')
      log.fatal('m')
      expect(log.isDebugEnabled).toBe(true)
    })
    const levels = written.map((line) => (JSON.parse(line) as { level: string }).level)
    expect(levels).toEqual(['debug', 'info', 'warn', 'error', 'fatal'])
  })

  test('can carry any field', () => {
    const [line] = lines({}, (log) =>
      log.info('m', { urls: ['http://a'], nothing: undefined, nested: { n: 1 }, quoted: 'a"b' }),
    )
    expect(JSON.parse(line ?? '')).toMatchObject({
      urls: ['http://a'],
      nested: { n: 1 },
      quoted: 'a"b',
    })
  })
})

test('lines below the level are not written', () => {
  const all = (log: ReturnType<typeof createLog>): void => {
    log.debug('d')
    log.info('i')
    log.warn('w')
    log.error('e')
    log.fatal('f')
  }
  expect(lines({ level: 'info' }, all)).toHaveLength(4)
  expect(lines({ level: 'warn' }, all)).toHaveLength(3)
  expect(lines({ level: 'error' }, all)).toHaveLength(2)
  for (const level of ['dpanic', 'panic', 'fatal'] as const)
    expect(lines({ level }, all)).toHaveLength(1)
})

test('console is one line with tabs', () => {
  const written = lines({ format: 'console' }, (log) => {
    log.info('without fields')
    log.warn('with', { a: 1 })
  })
  expect(written[0]).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z\tinfo\twithout fields$/)
  expect(written[1]).toMatch(/\twarn\twith\t\{"a":1\}$/)
})

test('every output gets every line', () => {
  const [one, two] = [join(folder, 'one.log'), join(folder, 'two', 'two.log')]
  const log = createLog({ level: 'info', format: 'json', outputs: [one, two] })
  log.info('m')
  log.flush()
  expect(readFileSync(one, 'utf8')).toBe(readFileSync(two, 'utf8'))
  expect(readFileSync(one, 'utf8')).toContain('"msg":"m"')
})
