import { isIP } from 'node:net'
import { exhaustive, invariant } from '../base/invariant.js'
import { parseFeatureGates } from './feature-gates.js'
import type { FlagDefinition, FlagValues } from './flag.js'
import { type FlagName, flagTable, type NamedFlag, type ValueOf } from './flag-table.js'
import {
  INT64,
  type Parsed,
  parseBoolean,
  parseDurationMs,
  parseInteger,
  parseUint32,
  refused,
  UINT64,
  value,
} from './go-value.js'
import {
  parseServerUrls,
  type ServerUrl,
  splitHostPort,
  uniqueUrls,
  urlTexts,
} from './server-url.js'

/** Any value a flag can have. */
export type FlagValue = FlagValues[keyof FlagValues]

const sortedSet = (items: readonly string[]): readonly string[] => [...new Set(items)].sort()

function parseChoice(flag: FlagDefinition, text: string): Parsed<string> {
  return flag.choices?.includes(text) === true ? value(text) : refused('invalid value')
}

function parseUrls(text: string): Parsed<readonly ServerUrl[]> {
  const urls = parseServerUrls(text.split(','))
  return urls.kind === 'refused' ? urls : value(uniqueUrls(urls.value))
}

/** `*`, or URLs as texts; sorted, each once. */
export function parseOrigins(text: string): Parsed<readonly string[]> {
  if (text === '*') return value(['*'])
  const urls = parseUrls(text)
  return urls.kind === 'refused' ? urls : value(urlTexts(urls.value))
}

/** `IP:port` as etcd 2.3 reads it: an IPv6 address in brackets, a decimal port of any size. */
function parseAddress(text: string): Parsed<string> {
  const split = splitHostPort(text.trim())
  if (split.kind === 'refused') return split
  const { host, port } = split.value
  if (isIP(host) === 0 || host.includes('%')) return refused('bad IP in address specification')
  if (!/^[+-]?\d+$/.test(port)) return refused('bad port in address specification')
  return value(`${host.includes(':') ? `[${host}]` : host}:${Number(port)}`)
}

/** Reads the text of a flag as Go's flag package and etcd's own flag types do. */
export function parseFlagText(flag: FlagDefinition, text: string): Parsed<FlagValue> {
  switch (flag.kind) {
    case 'text':
      return value(text)
    case 'boolean':
      return parseBoolean(text)
    case 'duration': {
      const duration = parseDurationMs(text)
      return duration.kind === 'refused' ? refused('parse error') : duration
    }
    case 'integer':
      return parseInteger(text, INT64)
    case 'unsigned':
      return parseInteger(text, UINT64)
    case 'uint32':
      return parseUint32(text)
    case 'urls':
      return parseUrls(text)
    case 'origins':
      return parseOrigins(text)
    case 'list':
      return value(text.split(','))
    case 'set':
      return value(sortedSet(text.split(',')))
    case 'choice':
      return parseChoice(flag, text)
    case 'gates':
      return parseFeatureGates(text)
    case 'address':
      return parseAddress(text)
    case 'ignored':
      return value(true)
    case 'removed':
      return refused(`flag "-${flag.name}" is no longer supported.`)
    default:
      return exhaustive(flag.kind)
  }
}

function defaultValue(flag: FlagDefinition): FlagValue {
  if (flag.kind === 'removed') return false
  if (flag.kind === 'ignored') return false
  if (flag.kind === 'address') return undefined
  const isMany = flag.kind === 'urls' || flag.kind === 'list' || flag.kind === 'set'
  if (isMany && flag.default === '') return []
  const parsed = parseFlagText(flag, flag.default)
  invariant(parsed.kind === 'value', 'a default must be legal', () => flag.name)
  return parsed.value
}

/** Whether two values of one flag are the same. */
function isSameValue(left: FlagValue, right: FlagValue): boolean {
  return JSON.stringify(left) === JSON.stringify(right)
}

/**
 * The value of every flag while it is being found out: the default until the command line, the
 * environment or the file sets another.
 */
export class Settings {
  readonly #values = new Map<FlagName, FlagValue>()
  readonly #given = new Set<FlagName>()
  /** Where the values come from: a file excludes the command line and the environment. */
  readonly source: 'command-line' | 'file'

  constructor(source: 'command-line' | 'file') {
    this.source = source
    for (const flag of flagTable) this.#values.set(flag.name, defaultValue(flag))
  }

  /** The value in force. */
  get<Name extends FlagName>(name: Name): ValueOf<Name> {
    const found = this.#values.get(name)
    // The table says which type belongs to which name, and `set` stores nothing else.
    return found as ValueOf<Name>
  }

  /** Whether the command line, the environment or the file gave the flag a value. */
  isGiven(name: FlagName): boolean {
    return this.#given.has(name)
  }

  /** Whether the value in force is another than the default. */
  isChanged(flag: NamedFlag): boolean {
    return !isSameValue(this.#values.get(flag.name), defaultValue(flag))
  }

  /** Stores a value that was read for exactly this flag. */
  set(flag: NamedFlag, read: FlagValue): void {
    this.#values.set(flag.name, read)
    this.#given.add(flag.name)
  }

  /**
   * Reads and stores the text of a flag; the reason when it is not legal. Two habits of etcd's URL
   * lists are kept: an empty text, and a single URL that the list has already, change nothing.
   */
  setText(flag: NamedFlag, text: string): string | undefined {
    const isKept = flag.kind === 'urls' && (text === '' || this.#hasUrl(flag, text))
    if (isKept) {
      this.#given.add(flag.name)
      return undefined
    }
    const parsed = parseFlagText(flag, text)
    if (parsed.kind === 'refused') return parsed.reason
    this.set(flag, parsed.value)
    return undefined
  }

  /** Stores what other flags say about this one, which does not count as given itself. */
  derive(flag: NamedFlag, text: string): string | undefined {
    const parsed = parseFlagText(flag, text)
    if (parsed.kind === 'refused') return parsed.reason
    this.#values.set(flag.name, parsed.value)
    return undefined
  }

  #hasUrl(flag: NamedFlag, text: string): boolean {
    const current = this.#values.get(flag.name)
    if (!Array.isArray(current)) return false
    return current.some((url: unknown) => {
      return typeof url === 'object' && url !== null && 'text' in url && url.text === text
    })
  }
}
