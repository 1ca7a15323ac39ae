import { createRequire } from 'node:module'
import type * as Yaml from 'yaml'
import { type FlagDefinition, yamlPath } from './flag.js'
import { flagTable, type NamedFlag } from './flag-table.js'
import { INT64, type IntegerRange, UINT32, UINT64 } from './go-value.js'
import { parseServerUrls, uniqueUrls } from './server-url.js'
import { type FlagValue, parseFlagText, type Settings } from './settings.js'

/** How reading the file ended. `exit` is for what etcd prints without its logger. */
export type ConfigFileOutcome =
  | Readonly<{ kind: 'applied' }>
  | Readonly<{ kind: 'refused'; error: string }>
  | Readonly<{ kind: 'exit'; stderr: string; exitCode: number }>

/** Keys of the file by their lower-cased path: a flag, or a map of further keys. */
/** Loaded when there is a file to read. */
const requireLater = createRequire(import.meta.url)

const flagsByPath = new Map<string, NamedFlag>()
const mapPaths = new Set<string>()
for (const flag of flagTable) {
  const path = yamlPath(flag)
  if (path === undefined) continue
  flagsByPath.set(path.join('.'), flag)
  for (let length = 1; length < path.length; length += 1)
    mapPaths.add(path.slice(0, length).join('.'))
}
const catchUp = flagTable.find((flag) => flag.name === 'experimental-snapshot-catchup-entries')
if (catchUp !== undefined) flagsByPath.set(catchUp.name, catchUp)

/** Go's names of the structs the maps are decoded into: etcd shows them in its errors. */
const STRUCTS: Readonly<Record<string, string>> = {
  'client-transport-security': 'embed.securityConfig',
  'peer-transport-security': 'embed.securityConfig',
  'socket-options': 'transport.SocketOpts',
  'discovery-config': 'v3discovery.DiscoveryConfig',
  'discovery-config.client': 'clientv3.ConfigSpec',
  'discovery-config.client.secure': 'clientv3.SecureConfig',
  'discovery-config.client.auth': 'clientv3.AuthConfig',
}

/** Flags that etcd reads in a second pass, where a bare `on`, `off` or number is taken as text. */
const LOOSE_TEXTS: readonly string[] = ['proxy', 'discovery-fallback']

const RANGES: Readonly<Record<string, IntegerRange>> = {
  uint32: UINT32,
  uint64: UINT64,
  uint: UINT64,
  int: INT64,
  int64: INT64,
  'time.Duration': INT64,
}

function goType(flag: FlagDefinition): string {
  if (flag.goType !== undefined) return flag.goType
  switch (flag.kind) {
    case 'boolean':
      return 'bool'
    case 'integer':
      return 'int'
    case 'unsigned':
      return 'uint'
    case 'duration':
      return 'time.Duration'
    case 'list':
      return '[]string'
    default:
      return flag.yamlList === true ? '[]string' : 'string'
  }
}

type JsonKind = 'string' | 'number' | 'bool' | 'array' | 'object'

function jsonKind(node: unknown): JsonKind {
  if (typeof node === 'string') return 'string'
  if (typeof node === 'boolean') return 'bool'
  if (typeof node === 'number' || typeof node === 'bigint') return 'number'
  return Array.isArray(node) ? 'array' : 'object'
}

class Mismatch extends Error {
  constructor(what: string, path: string, type: string) {
    const parent = STRUCTS[path.slice(0, Math.max(0, path.lastIndexOf('.')))] ?? 'embed.configYAML'
    const struct = parent.slice(parent.indexOf('.') + 1)
    super(
      `error unmarshaling JSON: while decoding JSON: json: cannot unmarshal ${what} ` +
        `into Go struct field ${struct}.${path} of type ${type}`,
    )
  }
}

function readNumber(node: number | bigint, path: string, type: string): number {
  const range = RANGES[type]
  const isWhole = typeof node === 'bigint' || Number.isInteger(node)
  const exact = isWhole ? BigInt(node) : undefined
  if (range === undefined || exact === undefined || exact < range.min || exact > range.max) {
    throw new Mismatch(range === undefined ? 'number' : `number ${node}`, path, type)
  }
  return type === 'time.Duration' ? Number(exact) / 1e6 : Number(exact)
}

function readTexts(node: unknown, path: string): readonly string[] {
  if (!Array.isArray(node)) throw new Mismatch(jsonKind(node), path, '[]string')
  return node.map((item: unknown) => {
    if (item === null) return ''
    if (typeof item !== 'string') throw new Mismatch(jsonKind(item), path, 'string')
    return item
  })
}

/** The value in the type the flag's field has in etcd; texts of further form stay texts here. */
function readNode(flag: NamedFlag, node: unknown, path: string): FlagValue {
  const type = goType(flag)
  if (type === '[]string') return readTexts(node, path)
  if (type === 'bool' && typeof node === 'boolean') return node
  if (RANGES[type] !== undefined && (typeof node === 'number' || typeof node === 'bigint')) {
    return readNumber(node, path, type)
  }
  if (RANGES[type] === undefined && type !== 'bool') {
    if (typeof node === 'string') return node
    const isScalar =
      typeof node === 'boolean' || typeof node === 'number' || typeof node === 'bigint'
    if (isScalar && LOOSE_TEXTS.includes(flag.name)) return String(node)
  }
  throw new Mismatch(jsonKind(node), path, type)
}

type Found = Map<NamedFlag, FlagValue>

/** Walks one map of the file in the order of its keys sorted; unknown keys are passed over. */
function walk(map: object, prefix: string, found: Found): void {
  const entries = Object.entries(map).sort(([left], [right]) => (left < right ? -1 : 1))
  for (const [key, node] of entries) {
    const path = `${prefix}${key.toLowerCase()}`
    if (node === null || node === undefined) continue
    const flag = flagsByPath.get(path)
    if (flag !== undefined) {
      found.set(flag, readNode(flag, node, path))
    } else if (mapPaths.has(path)) {
      if (jsonKind(node) !== 'object') {
        throw new Mismatch(jsonKind(node), path, STRUCTS[path] ?? 'object')
      }
      walk(node as object, `${path}.`, found)
    }
  }
}

/** Parses as YAML 1.1, where `yes` and `on` are booleans; dates stay texts. */
function parseYaml(text: string): { root: unknown } | { problem: string } {
  const { LineCounter, parseDocument } = requireLater('yaml') as typeof Yaml
  const lines = new LineCounter()
  const document = parseDocument(text, {
    version: '1.1',
    uniqueKeys: false,
    intAsBigInt: true,
    lineCounter: lines,
    customTags: (tags) =>
      tags.filter((tag) => typeof tag === 'string' || !tag.tag.endsWith(':timestamp')),
  })
  const [first] = document.errors
  if (first !== undefined) {
    const [message = ''] = first.message.split(/ at line \d+|:?\n/, 1)
    return { problem: `yaml: line ${lines.linePos(first.pos[0]).line}: ${message}` }
  }
  try {
    return { root: document.toJS({ maxAliasCount: 100 }) }
  } catch (thrown) {
    return { problem: `yaml: ${thrown instanceof Error ? thrown.message : String(thrown)}` }
  }
}

/** The URL lists in the order etcd reads them, with the name it gives each in its errors. */
const URL_LISTS: readonly (readonly [string, string])[] = [
  ['listen-peer-urls', 'listen-peer-urls'],
  ['listen-client-urls', 'listen-client-urls'],
  ['listen-client-http-urls', 'listen-client-http-urls'],
  ['initial-advertise-peer-urls', 'initial-advertise-peer-urls'],
  ['advertise-client-urls', 'advertise-peer-urls'],
  ['listen-metrics-urls', 'listen-metrics-urls'],
]

function applyUrls(found: Found, settings: Settings): string | undefined {
  for (const [name, shownName] of URL_LISTS) {
    for (const [flag, text] of found) {
      if (flag.name !== name || typeof text !== 'string' || text === '') continue
      const urls = parseServerUrls(text.split(','))
      if (urls.kind === 'refused') {
        return `unexpected error setting up ${shownName}: ${urls.reason}\n`
      }
      settings.set(flag, uniqueUrls(urls.value))
    }
  }
  return undefined
}

/** Texts that etcd checks after decoding; `proxy` and the fallback end the process on their own. */
function applyText(flag: NamedFlag, text: string, settings: Settings): ConfigFileOutcome {
  const isUnchecked = flag.kind === 'text' || flag.name === 'initial-cluster-state'
  if (isUnchecked || flag.name === 'v2-deprecation') {
    const fallback = flag.kind === 'choice' && text === '' ? flag.default : text
    settings.set(flag, fallback)
    return { kind: 'applied' }
  }
  if (text === '') return { kind: 'applied' }
  const parsed = parseFlagText(flag, text)
  if (parsed.kind === 'value') {
    settings.set(flag, parsed.value)
    return { kind: 'applied' }
  }
  if (flag.kind === 'gates') return { kind: 'refused', error: parsed.reason }
  if (flag.kind === 'origins') {
    return { kind: 'exit', stderr: `panic: ${parsed.reason}\n`, exitCode: 2 }
  }
  const shown = flag.name === 'proxy' ? 'proxyFlag' : `${flag.name} flag`
  const stderr = `unexpected error setting up ${shown}: ${parsed.reason}\n`
  return { kind: 'exit', stderr, exitCode: 1 }
}

/**
 * Reads a YAML file into fresh `settings`. Keys are the flag names, some inside maps; case does not
 * matter; unknown keys are ignored; durations are whole nanoseconds; `null` leaves the default.
 */
export function applyConfigFile(text: string, settings: Settings): ConfigFileOutcome {
  const parsed = parseYaml(text)
  if ('problem' in parsed) {
    return { kind: 'refused', error: `error converting YAML to JSON: ${parsed.problem}` }
  }
  const { root } = parsed
  if (root === null || root === undefined) return { kind: 'applied' }
  const found: Found = new Map()
  try {
    if (jsonKind(root) !== 'object') {
      const what = `cannot unmarshal ${jsonKind(root)} into Go value of type embed.configYAML`
      return {
        kind: 'refused',
        error: `error unmarshaling JSON: while decoding JSON: json: ${what}`,
      }
    }
    walk(root, '', found)
  } catch (thrown) {
    if (thrown instanceof Mismatch) return { kind: 'refused', error: thrown.message }
    throw thrown
  }
  const badUrl = applyUrls(found, settings)
  if (badUrl !== undefined) return { kind: 'exit', stderr: badUrl, exitCode: 1 }
  for (const [flag, read] of found) {
    if (flag.kind === 'urls') continue
    if (typeof read !== 'string') {
      settings.set(flag, read)
      continue
    }
    const outcome = applyText(flag, read, settings)
    if (outcome.kind !== 'applied') return outcome
  }
  return { kind: 'applied' }
}
