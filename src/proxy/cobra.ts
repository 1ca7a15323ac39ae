/**
 * Sub-commands as etcd's command line library reads them: `etcd gateway start --flag value`. Flags
 * have two dashes, `-h` excepted; help goes to standard output, a mistake to standard error with
 * the usage (facts: flags.md 6).
 */
import { exhaustive, invariant } from '../base/invariant.js'
import {
  formatDurationMs,
  goQuote,
  INT64,
  type IntegerRange,
  type Parsed,
  parseDurationMs,
  parseInteger,
  refused,
  UINT32,
  UINT64,
  value,
} from '../config/go-value.js'

/** One flag of a sub-command. */
export interface CobraFlag {
  readonly name: string
  /** Durations are read into milliseconds. */
  readonly type: 'bool' | 'duration' | 'int' | 'string' | 'strings' | 'uint' | 'uint32'
  /** As it would be typed. */
  readonly default: string
  readonly help: string
}

/** A command with one command below it, `start`, which has the flags. */
export interface CobraGroup {
  /** The word that calls it: `gateway`. */
  readonly name: string
  readonly help: string
  readonly startHelp: string
  readonly flags: readonly CobraFlag[]
}

type FlagValue = string | boolean | number | readonly string[]

/** What was read: every flag of the table has a value. */
export class CobraValues {
  readonly #values: ReadonlyMap<string, FlagValue>

  constructor(values: ReadonlyMap<string, FlagValue>) {
    this.#values = values
  }

  text(name: string): string {
    const found = this.#values.get(name)
    invariant(typeof found === 'string', 'the flag is in the table as a text', () => name)
    return found
  }

  isOn(name: string): boolean {
    const found = this.#values.get(name)
    invariant(typeof found === 'boolean', 'the flag is in the table as a switch', () => name)
    return found
  }

  number(name: string): number {
    const found = this.#values.get(name)
    invariant(typeof found === 'number', 'the flag is in the table as a number', () => name)
    return found
  }

  list(name: string): readonly string[] {
    const found = this.#values.get(name)
    invariant(Array.isArray(found), 'the flag is in the table as a list', () => name)
    return found
  }
}

export type CobraOutcome =
  | Readonly<{ kind: 'run'; values: CobraValues }>
  | Readonly<{ kind: 'print'; stdout: string; stderr: string; exitCode: number }>

const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ...['1', 't', 'T', 'true', 'TRUE', 'True'].map((text) => [text, true] as const),
  ...['0', 'f', 'F', 'false', 'FALSE', 'False'].map((text) => [text, false] as const),
])

function parseNumber(text: string, range: IntegerRange): Parsed<number> {
  const read = parseInteger(text, range)
  if (read.kind === 'value') return read
  const why = read.reason === 'parse error' ? 'invalid syntax' : read.reason
  const called = range.min < 0n ? 'ParseInt' : 'ParseUint'
  return refused(`strconv.${called}: parsing ${goQuote(text)}: ${why}`)
}

function parseValue(type: CobraFlag['type'], text: string): Parsed<FlagValue> {
  switch (type) {
    case 'bool': {
      const read = BOOLEANS.get(text)
      const why = `strconv.ParseBool: parsing ${goQuote(text)}: invalid syntax`
      return read === undefined ? refused(why) : value(read)
    }
    case 'duration':
      return parseDurationMs(text)
    case 'int':
      return parseNumber(text, INT64)
    case 'uint':
      return parseNumber(text, UINT64)
    case 'uint32':
      return parseNumber(text, UINT32)
    case 'string':
      return value(text)
    case 'strings':
      return value(text === '' ? [] : text.split(','))
    default:
      return exhaustive(type)
  }
}

class Mistake extends Error {}

/** Reads the words behind the command; `undefined` = help is asked for. Throws a Mistake. */
class FlagReader {
  readonly #flags: readonly CobraFlag[]
  readonly #words: string[]
  readonly #values = new Map<string, FlagValue>()
  readonly #given = new Set<string>()

  constructor(flags: readonly CobraFlag[], words: readonly string[]) {
    this.#flags = flags
    this.#words = [...words]
    for (const flag of flags) {
      const parsed = parseValue(flag.type, flag.default)
      invariant(parsed.kind === 'value', 'defaults can be read', () => flag.name)
      this.#values.set(flag.name, parsed.value)
    }
  }

  read(): CobraValues | undefined {
    let isHelp = false
    for (let word = this.#words.shift(); word !== undefined; word = this.#words.shift()) {
      if (word === '--') break
      // Words that are no flags are taken and mean nothing.
      if (!word.startsWith('-') || word === '-') continue
      isHelp = (word.startsWith('--') ? this.#readLong(word) : isShortHelp(word)) || isHelp
    }
    return isHelp ? undefined : new CobraValues(this.#values)
  }

  /** Whether it is the flag for help. */
  #readLong(word: string): boolean {
    const equals = word.indexOf('=')
    const name = word.slice(2, equals < 0 ? undefined : equals)
    if (name === '' || name.startsWith('-')) throw new Mistake(`bad flag syntax: ${word}`)
    const given = equals < 0 ? undefined : word.slice(equals + 1)
    if (name === 'help') {
      const isOn = this.#parse({ name, type: 'bool' }, given ?? 'true')
      return isOn === true
    }
    const flag = this.#flags.find((one) => one.name === name)
    if (flag === undefined) throw new Mistake(`unknown flag: --${name}`)
    const text = given ?? (flag.type === 'bool' ? 'true' : this.#words.shift())
    if (text === undefined) throw new Mistake(`flag needs an argument: --${name}`)
    this.#set(flag, this.#parse(flag, text))
    return false
  }

  #parse({ name, type }: Pick<CobraFlag, 'name' | 'type'>, text: string): FlagValue {
    const parsed = parseValue(type, text)
    if (parsed.kind === 'value') return parsed.value
    throw new Mistake(`invalid argument ${goQuote(text)} for "--${name}" flag: ${parsed.reason}`)
  }

  /** A list that is given again grows; the first one takes the place of the default. */
  #set({ name }: CobraFlag, parsed: FlagValue): void {
    const before = this.#given.has(name) ? this.#values.get(name) : undefined
    this.#given.add(name)
    const grown = Array.isArray(before) && Array.isArray(parsed) ? [...before, ...parsed] : parsed
    this.#values.set(name, grown)
  }
}

function isShortHelp(word: string): boolean {
  for (const letter of word.slice(1)) {
    if (letter === 'h') continue
    throw new Mistake(`unknown shorthand flag: '${letter}' in ${word}`)
  }
  return true
}

function shownDefault({ type, default: text }: CobraFlag): string {
  switch (type) {
    case 'bool':
      return text === 'false' ? '' : ` (default ${text})`
    case 'string':
      return text === '' ? '' : ` (default ${goQuote(text)})`
    case 'strings':
      return text === '' ? '' : ` (default [${text}])`
    case 'duration': {
      const read = parseDurationMs(text)
      const ms = read.kind === 'value' ? read.value : 0
      return ms === 0 ? '' : ` (default ${formatDurationMs(ms)})`
    }
    case 'int':
    case 'uint':
    case 'uint32':
      return text === '0' ? '' : ` (default ${text})`
    default:
      return exhaustive(type)
  }
}

function flagLines(flags: readonly CobraFlag[], command: string): string {
  const help: CobraFlag = { name: 'help', type: 'bool', default: 'false', help: '' }
  const rows = [...flags, { ...help, help: `help for ${command}` }]
    .sort((left, right) => (left.name < right.name ? -1 : 1))
    .map((flag) => {
      const dashes = flag.name === 'help' ? '  -h, --' : '      --'
      const type = flag.type === 'bool' ? '' : ` ${flag.type}`
      return { head: `${dashes}${flag.name}${type}`, text: flag.help + shownDefault(flag) }
    })
  const width = Math.max(...rows.map(({ head }) => head.length)) + 3
  return rows.map(({ head, text }) => `${head.padEnd(width)}${text}\n`).join('')
}

function groupUsage({ name, startHelp }: CobraGroup): string {
  return (
    `Usage:\n  etcd ${name} [command]\n\nAvailable Commands:\n  start       ${startHelp}\n\n` +
    `Flags:\n${flagLines([], name)}\n` +
    `Use "etcd ${name} [command] --help" for more information about a command.\n`
  )
}

const startUsage = ({ name, flags }: CobraGroup): string =>
  `Usage:\n  etcd ${name} start [flags]\n\nFlags:\n${flagLines(flags, 'start')}`

/** Reads the words behind the group's own name. */
export function parseCobra(group: CobraGroup, words: readonly string[]): CobraOutcome {
  const isStart = words[0] === 'start'
  const help = isStart ? group.startHelp : group.help
  const usage = isStart ? startUsage(group) : groupUsage(group)
  try {
    const reader = new FlagReader(isStart ? group.flags : [], isStart ? words.slice(1) : words)
    const values = reader.read()
    if (isStart && values !== undefined) return { kind: 'run', values }
    return { kind: 'print', stdout: `${help}\n\n${usage}`, stderr: '', exitCode: 0 }
  } catch (error) {
    if (!(error instanceof Mistake)) throw error
    const stderr = `Error: ${error.message}\n${usage}\n${error.message}`
    return { kind: 'print', stdout: '', stderr, exitCode: 1 }
  }
}
