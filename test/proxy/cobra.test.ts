// Goal: sub-commands take their words as etcd's do, and say the same when they cannot. Method: word by word against the
// outputs of etcd 3.4.23, which its own test compares again on the real thing (interop).
import { describe, expect, test } from 'vitest'
import { type CobraGroup, parseCobra } from '../../src/proxy/cobra.js'

const group: CobraGroup = {
  name: 'tool',
  help: 'tool related command',
  startHelp: 'start the tool',
  flags: [
    { name: 'text', type: 'string', default: 'a b', help: 'a text' },
    { name: 'none', type: 'string', default: '', help: 'no text' },
    { name: 'on', type: 'bool', default: 'false', help: 'a switch' },
    { name: 'list', type: 'strings', default: 'x:1', help: 'a list' },
    { name: 'wait', type: 'duration', default: '1m0s', help: 'a time' },
    { name: 'count', type: 'int', default: '0', help: 'a count' },
    { name: 'big', type: 'uint32', default: '4294967295', help: 'a big one' },
  ],
}

const START = `Usage:
  etcd tool start [flags]

Flags:
      --big uint32      a big one (default 4294967295)
      --count int       a count
  -h, --help            help for start
      --list strings    a list (default [x:1])
      --none string     no text
      --on              a switch
      --text string     a text (default "a b")
      --wait duration   a time (default 1m0s)
`
const TOOL = `Usage:
  etcd tool [command]

Available Commands:
  start       start the tool

Flags:
  -h, --help   help for tool

Use "etcd tool [command] --help" for more information about a command.
`

function run(...words: readonly string[]) {
  const outcome = parseCobra(group, ['start', ...words])
  if (outcome.kind !== 'run') throw new Error(outcome.stderr)
  return outcome.values
}

describe('values', () => {
  test('are the defaults where nothing is given', () => {
    const values = run()
    expect(values.text('text')).toBe('a b')
    expect(values.isOn('on')).toBe(false)
    expect(values.list('list')).toEqual(['x:1'])
    expect(values.number('wait')).toBe(60_000)
    expect(values.number('big')).toBe(4_294_967_295)
  })

  test('come behind a blank or an equals sign; a switch takes no word', () => {
    const values = run(
      '--text',
      'one',
      '--none=--x',
      '--on',
      'word',
      '--wait=1.5s',
      '--count',
      '-3',
    )
    expect(values.text('text')).toBe('one')
    expect(values.text('none')).toBe('--x')
    expect(values.isOn('on')).toBe(true)
    expect(values.number('wait')).toBe(1500)
    expect(values.number('count')).toBe(-3)
    expect(run('--on=false').isOn('on')).toBe(false)
  })

  test('of lists grow with each flag, and the default goes', () => {
    expect(run('--list', 'a,b', '--list=c').list('list')).toEqual(['a', 'b', 'c'])
    expect(run('--list', '').list('list')).toEqual([])
  })

  test('end at two dashes', () => {
    expect(run('--', '--text', 'x').text('text')).toBe('a b')
  })
})

test.each([
  [['--foo'], 'unknown flag: --foo'],
  [['--foo=1'], 'unknown flag: --foo'],
  [['-x'], "unknown shorthand flag: 'x' in -x"],
  [['-text=1'], "unknown shorthand flag: 't' in -text=1"],
  [['-hx'], "unknown shorthand flag: 'x' in -hx"],
  [['---x'], 'bad flag syntax: ---x'],
  [['--=x'], 'bad flag syntax: --=x'],
  [['--text'], 'flag needs an argument: --text'],
  [['--wait=x'], 'invalid argument "x" for "--wait" flag: time: invalid duration "x"'],
  [
    ['--count', 'x'],
    'invalid argument "x" for "--count" flag: strconv.ParseInt: parsing "x": invalid syntax',
  ],
  [
    ['--big=4294967296'],
    'invalid argument "4294967296" for "--big" flag: ' +
      'strconv.ParseUint: parsing "4294967296": value out of range',
  ],
  [
    ['--on=maybe'],
    'invalid argument "maybe" for "--on" flag: strconv.ParseBool: parsing "maybe": invalid syntax',
  ],
])('%j is refused', (words, text) => {
  expect(parseCobra(group, ['start', ...words])).toEqual({
    kind: 'print',
    stdout: '',
    stderr: `Error: ${text}\n${START}\n${text}`,
    exitCode: 1,
  })
})

test.each([
  [['start', '--help'], `start the tool\n\n${START}`],
  [['start', '-h', '--text=x'], `start the tool\n\n${START}`],
  [[], `tool related command\n\n${TOOL}`],
  [['other'], `tool related command\n\n${TOOL}`],
  [['-h'], `tool related command\n\n${TOOL}`],
])('%j prints help', (words, stdout) => {
  expect(parseCobra(group, words)).toEqual({ kind: 'print', stdout, stderr: '', exitCode: 0 })
})

test('a mistake before the command is told with the usage of the group', () => {
  expect(parseCobra(group, ['--foo'])).toMatchObject({
    stderr: `Error: unknown flag: --foo\n${TOOL}\nunknown flag: --foo`,
    exitCode: 1,
  })
})
