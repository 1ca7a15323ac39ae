/**
 * What an operation on the v2 tree tells: the answer to a client, an item of the history, a
 * watcher's news.
 */
import { isPlainText, Quoter } from '../base/go-json.js'
import { formatRfc3339Nano } from '../base/rfc3339.js'

/** What happened, in etcd's words. */
export type V2Action =
  | 'get'
  | 'create'
  | 'set'
  | 'update'
  | 'delete'
  | 'compareAndSwap'
  | 'compareAndDelete'
  | 'expire'

/** A node as seen from outside. */
export interface V2NodeView {
  readonly key: string
  /** Present for files, the empty one too; absent for directories and for what was just deleted. */
  readonly value?: string | undefined
  /** Whether the value needs no more than quotes in JSON, where that is known (isPlainText). */
  readonly isPlain?: boolean | undefined
  readonly dir: boolean
  /** Unix nanoseconds; absent = permanent. */
  readonly expirationNs?: bigint | undefined
  /** Seconds that were left when the view was made, rounded up; 0 or less once it is over. */
  readonly ttlSeconds: number
  readonly nodes?: readonly V2NodeView[] | undefined
  readonly modifiedIndex: number
  readonly createdIndex: number
}

/** One event. `etcdIndex` is the store's index to answer with; it is not part of the JSON. */
export interface V2Event {
  readonly action: V2Action
  readonly node: V2NodeView
  readonly prevNode?: V2NodeView | undefined
  readonly etcdIndex: number
  /** A change of the TTL alone: kept in the history, told to no watcher. */
  readonly refresh: boolean
}

/** Whether the event made a node where there was none (HTTP 201). */
export const isCreation = (event: V2Event): boolean =>
  event.action === 'create' || (event.action === 'set' && event.prevNode === undefined)

/** `key` without the namespace in front of it, as clients see it. */
function shownKey(key: string, prefix: string): string {
  return prefix !== '' && key.startsWith(prefix) ? key.slice(prefix.length) : key
}

/** How nodes are written. */
interface Style {
  /** What is cut off keys. */
  readonly prefix: string
  readonly quoter: Quoter
}

/** A node's JSON up to where its `nodes` would come: an open brace and the members before them. */
function encodeHead(node: V2NodeView, { prefix, quoter }: Style): string {
  const key = shownKey(node.key, prefix)
  let out = key === '' ? '{' : `{"key":${quoter.quote(key)}`
  if (node.value !== undefined) out += `${commaAfter(out)}"value":${quoter.quote(node.value)}`
  if (node.dir) out += `${commaAfter(out)}"dir":true`
  if (node.expirationNs !== undefined) {
    out += `${commaAfter(out)}"expiration":"${formatRfc3339Nano(node.expirationNs)}"`
  }
  if (node.ttlSeconds !== 0) out += `${commaAfter(out)}"ttl":${node.ttlSeconds}`
  return out
}

/** The members behind the `nodes`, each with the comma before it, and the closing brace. */
function encodeTail({ modifiedIndex, createdIndex }: V2NodeView): string {
  const created = createdIndex === 0 ? '}' : `,"createdIndex":${createdIndex}}`
  return modifiedIndex === 0 ? created : `,"modifiedIndex":${modifiedIndex}${created}`
}

const commaAfter = (out: string): string => (out.length === 1 ? '' : ',')

/**
 * A file without an end, whose key and value are as plain as nearly all; `undefined` = any other
 * node. The same as below in fewer pieces.
 */
function encodePlainFile(node: V2NodeView, prefix: string): string | undefined {
  const { value, modifiedIndex, createdIndex } = node
  if (value === undefined || node.dir || node.expirationNs !== undefined) return undefined
  if (node.ttlSeconds !== 0 || modifiedIndex === 0 || createdIndex === 0) return undefined
  const key = shownKey(node.key, prefix)
  if (key === '' || !isPlainText(key) || !(node.isPlain ?? isPlainText(value))) return undefined
  return `{"key":"${key}","value":"${value}","modifiedIndex":${modifiedIndex},"createdIndex":${createdIndex}}`
}

/** A node without children. */
function encodeLeaf(node: V2NodeView, style: Style): string {
  const plain = encodePlainFile(node, style.prefix)
  if (plain !== undefined) return plain
  const head = encodeHead(node, style)
  const tail = encodeTail(node)
  return head.length === 1 && tail.length > 1 ? head + tail.slice(1) : head + tail
}

/** Encodes without recursion: how deep a tree is, its users decide. */
function encodeNode(root: V2NodeView, style: Style): string {
  if (root.nodes === undefined || root.nodes.length === 0) return encodeLeaf(root, style)
  let out = ''
  const rest: (string | V2NodeView)[] = [root]
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    if (typeof next === 'string') {
      out += next
      continue
    }
    const nodes = next.nodes ?? []
    if (nodes.length === 0) {
      out += encodeLeaf(next, style)
      continue
    }
    const head = encodeHead(next, style)
    out += `${head}${commaAfter(head)}"nodes":[`
    rest.push(`]${encodeTail(next)}`)
    for (let at = nodes.length - 1; at >= 0; at--) {
      const child = nodes[at]
      if (child !== undefined) rest.push(child)
      if (at > 0) rest.push(',')
    }
  }
  return out
}

/**
 * The JSON of an event as etcd writes it, in snapshots and (with `keyPrefix` `/1` cut off every
 * key) to clients. No newline at the end. `quoter` knows afterwards whether it is ASCII. Cost:
 * linear in the nodes.
 */
export function encodeV2Event(event: V2Event, keyPrefix = '', quoter = new Quoter()): string {
  const style = { prefix: keyPrefix, quoter }
  const node = encodeNode(event.node, style)
  const prev =
    event.prevNode === undefined ? '' : `,"prevNode":${encodeNode(event.prevNode, style)}`
  const refresh = event.refresh ? ',"refresh":true}' : '}'
  return `{"action":"${event.action}","node":${node}${prev}${refresh}`
}
