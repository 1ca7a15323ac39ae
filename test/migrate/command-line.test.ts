// Goal: the command line of migrate-v2 is read, and its progress shown, as documented. Method: words and what they become;
// a stream that is a terminal and one that is not, with a clock in the test's hand.
import { expect, test } from 'vitest'
import { parseMigrateOptions, UsageEnd } from '../../src/migrate/options.js'
import { Progress } from '../../src/migrate/progress.js'
import { prefixRangeEnd } from '../../src/migrate/v3-target.js'

const needed = ['--from', 'http://a:1,b:2', '--to=https://c:3/']

test('URLs, prefix and switches', () => {
  expect(parseMigrateOptions([...needed, '--prefix', 'app//x/', '--strip', '--follow'])).toEqual({
    from: ['http://a:1', 'http://b:2'],
    to: ['https://c:3'],
    prefix: '/app/x',
    strip: true,
    isDryRun: false,
    overwrites: false,
    follows: true,
    statePath: undefined,
    fromCredentials: { tls: {}, user: undefined },
    toCredentials: { tls: {}, user: undefined },
  })
  const more = [...needed, '--dry-run', '--state=f', '--overwrite', '--to-user', 'root:a:b']
  expect(parseMigrateOptions(more)).toMatchObject({
    prefix: '/',
    isDryRun: true,
    overwrites: true,
    statePath: 'f',
    toCredentials: { user: { name: 'root', password: 'a:b' } },
  })
})

const refused: readonly (readonly [readonly string[], string])[] = [
  [[], '--from and --to are needed'],
  [['--from', 'a:1'], '--from and --to are needed'],
  [[...needed, '--nope'], "Unknown option '--nope'"],
  [[...needed, 'word'], 'Unexpected argument'],
  [['--from', 'ftp://a:1', '--to', 'b:1'], '--from: "ftp://a:1" is no http or https URL'],
  [['--from', 'http://a:1/v2', '--to', 'b:1'], '--from: "http://a:1/v2" is no http or https URL'],
  [['--from', 'a:1', '--to', ''], '--to: "" is no http or https URL'],
  [[...needed, '--prefix', '/a/../b'], '--prefix: "/a/../b" is no path of a key'],
  [[...needed, '--cert', 'f'], '--cert and --key go together'],
  [[...needed, '--from-user', 'root'], '--from-user takes NAME:PASSWORD'],
]
test.each(refused)('%j is refused', (argv, text) => {
  const read = (): unknown => parseMigrateOptions(argv)
  expect(read).toThrow(UsageEnd)
  expect(read).toThrow(text)
  expect(read).toThrow(expect.objectContaining({ exitCode: 2 }))
})

test('help is no failure', () => {
  expect(() => parseMigrateOptions(['--help'])).toThrow(expect.objectContaining({ exitCode: 0 }))
})

function shown(stream: Readonly<{ isTTY?: boolean; columns?: number }>): string[] {
  const texts: string[] = []
  let now = 0
  const write = (text: string): number => texts.push(text)
  const progress = new Progress({ ...stream, write }, 200, () => now)
  progress.advance(50)
  now += 6000
  progress.advance(50)
  progress.advance(100)
  progress.end()
  return texts
}

test('a terminal has a bar, a file has lines', () => {
  expect(shown({})).toEqual(['100 of 200 keys, 50 %\n', '200 of 200 keys, 100 %\n'])
  expect(shown({ isTTY: true, columns: 40 })).toEqual([
    `\r[${'#'.repeat(8)}${'-'.repeat(7)}] 100 of 200 keys, 50 %`,
    `\r[${'#'.repeat(14)}] 200 of 200 keys, 100 %`,
    '\n',
  ])
  expect(shown({ isTTY: true, columns: 10 })[0]).toBe('\r[] 100 of 200 keys, 50 %')
})

test('nothing to do shows nothing', () => {
  const texts: string[] = []
  new Progress({ write: (text) => texts.push(text) }, 0).end()
  expect(texts).toEqual([])
})

test('the end of a prefix', () => {
  const end = (...bytes: number[]): number[] => [...prefixRangeEnd(new Uint8Array(bytes))]
  expect(end(0x61, 0x2f)).toEqual([0x61, 0x30])
  expect(end(0x61, 0xff)).toEqual([0x62])
  expect(end(0xff, 0xff)).toEqual([0])
})
