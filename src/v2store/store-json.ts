/**
 * The v2 store as JSON: what snapshots of etcd 2.x to 3.7 carry, key by key (facts: disk.md 3.1).
 */
import { compareGo, quoteGo } from '../base/go-json.js'
import { formatRfc3339Nano, parseRfc3339 } from '../base/rfc3339.js'
import type { V2Action, V2Event, V2NodeView } from './event.js'
import { EventHistory } from './event-history.js'
import { type Expiry, TreeNode } from './node.js'
import { STATISTICS, Statistics } from './statistics.js'

export interface StoreContents {
  readonly root: TreeNode
  readonly history: EventHistory
  readonly index: number
  readonly statistics: Statistics
  readonly version: number
}

export type ParseResult =
  | { readonly kind: 'parsed'; readonly contents: StoreContents }
  | { readonly kind: 'unreadable'; readonly reason: string }

/** Go's zero time: a permanent node. */
const PERMANENT = '0001-01-01T00:00:00Z'
const PERMANENT_NS = -62_135_596_800_000_000_000n
/** Slots that a snapshot's ring may have: etcd's has 1000. */
const HISTORY_CAPACITY_MAX = 1 << 20

function encodeExpiry(expiry: Expiry | undefined): string {
  if (expiry === undefined) return PERMANENT
  return expiry.text ?? formatRfc3339Nano(expiry.ns)
}

function encodeHead(node: TreeNode): string {
  const indexes = `"CreatedIndex":${node.createdIndex},"ModifiedIndex":${node.modifiedIndex}`
  const time = `"ExpireTime":"${encodeExpiry(node.expiry)}"`
  return `{"Path":${quoteGo(node.path)},${indexes},${time},"Value":${quoteGo(node.value)},"Children":`
}

/**
 * Children are sorted by name, as Go sorts a map. Without recursion: users decide how deep a tree
 * is.
 */
function encodeTree(root: TreeNode): string {
  const out: string[] = []
  const rest: (string | TreeNode)[] = [root]
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    if (typeof next === 'string') {
      out.push(next)
      continue
    }
    out.push(encodeHead(next))
    if (next.children === undefined) {
      out.push('null}')
      continue
    }
    const children = [...next.children].sort((a, b) => compareGo(b[0], a[0]))
    out.push('{')
    rest.push('}}')
    for (const [at, [name, child]] of children.entries()) {
      const isFirst = at === children.length - 1
      rest.push(child, `${isFirst ? '' : ','}${quoteGo(name)}:`)
    }
  }
  return out.join('')
}

/** The whole JSON. Cost: all nodes, and the history. */
export function encodeStore(contents: StoreContents): string {
  const hub = `"WatcherHub":{"EventHistory":${contents.history.encode()}}`
  const rest = `"Stats":${contents.statistics.encode()},"CurrentVersion":${contents.version}`
  return `{"Root":${encodeTree(contents.root)},${hub},"CurrentIndex":${contents.index},${rest}}`
}

class Unreadable extends Error {}

type JsonObject = Readonly<Record<string, unknown>>

function asObject(value: unknown, what: string): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Unreadable(`${what} is not an object`)
  }
  return value as JsonObject
}

/** A count that Go may have left out (0). */
function asCount(value: unknown, what: string): number {
  if (value === undefined || value === null) return 0
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) {
    throw new Unreadable(`${what} is not a whole number`)
  }
  return value
}

function asText(value: unknown, what: string): string {
  if (value === undefined || value === null) return ''
  if (typeof value !== 'string') throw new Unreadable(`${what} is not a text`)
  return value
}

function parseTime(value: unknown): bigint {
  const ns = parseRfc3339(asText(value, 'a time'))
  if (ns === undefined) throw new Unreadable('a time is not RFC 3339')
  return ns
}

function parseExpiry(value: unknown): Expiry | undefined {
  if (value === undefined || value === null) return undefined
  const ns = parseTime(value)
  if (ns === PERMANENT_NS) return undefined
  const text = asText(value, 'ExpireTime')
  return text === formatRfc3339Nano(ns) ? { ns } : { ns, text }
}

function parseNode(value: unknown): { node: TreeNode; children: JsonObject | undefined } {
  const json = asObject(value, 'a node')
  const children = json.Children ?? undefined
  const node = new TreeNode({
    path: asText(json.Path, 'Path'),
    createdIndex: asCount(json.CreatedIndex, 'CreatedIndex'),
    modifiedIndex: asCount(json.ModifiedIndex, 'ModifiedIndex'),
    value: asText(json.Value, 'Value'),
    isDirectory: children !== undefined,
    expiry: parseExpiry(json.ExpireTime),
  })
  return { node, children: children === undefined ? undefined : asObject(children, 'Children') }
}

function parseTree(value: unknown): TreeNode {
  const root = parseNode(value)
  if (root.node.path !== '/' || root.children === undefined) {
    throw new Unreadable('Root is not the root directory')
  }
  const rest = [root]
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    for (const [name, childValue] of Object.entries(next.children ?? {})) {
      const child = parseNode(childValue)
      if (!child.node.path.endsWith(`/${name}`)) throw new Unreadable('a node is misplaced')
      next.node.adopt(name, child.node)
      if (child.children !== undefined) rest.push(child)
    }
  }
  return root.node
}

const ACTIONS: readonly V2Action[] = [
  'get',
  'create',
  'set',
  'update',
  'delete',
  'compareAndSwap',
  'compareAndDelete',
  'expire',
]

/** A node of an event. Events of the history never list children. */
function parseView(value: unknown): V2NodeView {
  const json = asObject(value, 'the node of an event')
  const hasValue = json.value !== undefined && json.value !== null
  const hasExpiration = json.expiration !== undefined && json.expiration !== null
  return {
    key: asText(json.key, 'key'),
    value: hasValue ? asText(json.value, 'value') : undefined,
    dir: json.dir === true,
    expirationNs: hasExpiration ? parseTime(json.expiration) : undefined,
    ttlSeconds: asCount(json.ttl, 'ttl'),
    modifiedIndex: asCount(json.modifiedIndex, 'modifiedIndex'),
    createdIndex: asCount(json.createdIndex, 'createdIndex'),
  }
}

function parseEvent(value: unknown): V2Event | undefined {
  if (value === null || value === undefined) return undefined
  const json = asObject(value, 'an event')
  const action = ACTIONS.find((known) => known === json.action)
  if (action === undefined) throw new Unreadable('an event has an unknown action')
  const node = parseView(json.node)
  const hasPrev = json.prevNode !== undefined && json.prevNode !== null
  return {
    action,
    node,
    prevNode: hasPrev ? parseView(json.prevNode) : undefined,
    etcdIndex: node.modifiedIndex,
    refresh: json.refresh === true,
  }
}

function parseHistory(value: unknown): EventHistory {
  const history = new EventHistory()
  const json = asObject(asObject(value, 'WatcherHub').EventHistory, 'EventHistory')
  const queue = asObject(json.Queue, 'Queue')
  const listed = Array.isArray(queue.Events) ? queue.Events : []
  const capacity = asCount(queue.Capacity, 'Capacity')
  const [size, front, back] = [
    asCount(queue.Size, 'Size'),
    asCount(queue.Front, 'Front'),
    asCount(queue.Back, 'Back'),
  ]
  const isRing = capacity > 0 && capacity <= HISTORY_CAPACITY_MAX && listed.length === capacity
  const isInside = [size, front, back].every((place) => place >= 0 && place <= capacity)
  if (!isRing || !isInside || front === capacity || back === capacity) {
    throw new Unreadable('the event history is not a ring')
  }
  history.restore({
    events: listed.map(parseEvent),
    size,
    front,
    back,
    startIndex: asCount(json.StartIndex, 'StartIndex'),
    lastIndex: asCount(json.LastIndex, 'LastIndex'),
  })
  return history
}

function parseStatistics(value: unknown): Statistics {
  const statistics = new Statistics()
  const json = asObject(value ?? {}, 'Stats')
  for (const name of STATISTICS) statistics.set(name, asCount(json[name], name))
  return statistics
}

/** Reads the JSON of a snapshot; keys it does not know are left out. Cost: linear. */
export function parseStore(state: Uint8Array): ParseResult {
  try {
    const json = asObject(JSON.parse(new TextDecoder().decode(state)), 'the store')
    const contents = {
      root: parseTree(json.Root),
      history: parseHistory(json.WatcherHub),
      index: asCount(json.CurrentIndex, 'CurrentIndex'),
      statistics: parseStatistics(json.Stats),
      version: asCount(json.CurrentVersion, 'CurrentVersion'),
    }
    return { kind: 'parsed', contents }
  } catch (thrown) {
    if (thrown instanceof Unreadable || thrown instanceof SyntaxError) {
      return { kind: 'unreadable', reason: thrown.message }
    }
    throw thrown
  }
}
