import { type LeaseId, leaseId, NO_LEASE } from '../base/ids.js'
import { latin1FromBytes } from '../base/latin1.js'
import { Reader, WireError } from '../wire/reader.js'
import { Writer } from '../wire/writer.js'
import type { IndexParts } from './rows.js'
import type { StoreState } from './store-state.js'

/** A part ends with the key that reaches this: a few milliseconds of the event loop. */
const PART_BYTES = 256 * 1024
/** A sub revision, doubled, and the mark of a tombstone. */
const MARK_MAX = 0xffff_ffff

/**
 * Writes the index in the order of its keys. A key has what it shares with the one before it in the
 * same part, the rest of its bytes, how many revisions it has, what is known of the newest one, and
 * all revisions from the oldest on, main revisions as differences. Format: docs/formats/backend.md.
 */
export class IndexPartWriter implements IndexParts {
  readonly #state: StoreState
  readonly #writer = new Writer(PART_BYTES * 2)
  readonly #links: number[] = []
  /** Where the next part begins; undefined = nothing is left. */
  #nextKey: string | undefined = ''

  constructor(state: StoreState) {
    this.#state = state
  }

  next(): Uint8Array | undefined {
    const start = this.#nextKey
    if (start === undefined) return undefined
    const writer = this.#writer
    let previous = ''
    this.#nextKey = undefined
    this.#state.index.walk(start, undefined, (key, slot) => {
      if (writer.position >= PART_BYTES) {
        this.#nextKey = key
        return false
      }
      this.#writeKey(key, previous)
      this.#writeRevisions(key, slot)
      previous = key
      return true
    })
    return writer.position === 0 ? undefined : writer.take()
  }

  #writeKey(key: string, previous: string): void {
    const writer = this.#writer
    const most = Math.min(key.length, previous.length)
    let shared = 0
    while (shared < most && key.charCodeAt(shared) === previous.charCodeAt(shared)) shared++
    const rest = key.length - shared
    writer.uint32(shared)
    writer.uint32(rest)
    writer.reserve(rest)
    for (let at = shared; at < key.length; at++) {
      writer.buffer[writer.position++] = key.charCodeAt(at)
    }
  }

  #writeRevisions(key: string, slot: number): void {
    const { index, attachments } = this.#state
    const { chains } = index
    const writer = this.#writer
    const links = this.#links
    links.length = 0
    for (let link = index.head(slot); link !== 0; link = chains.previous(link)) links.push(link)
    writer.uint32(links.length)
    const version = index.version(slot)
    writer.counter(version)
    if (version !== 0) {
      writer.counter(index.createRevision(slot))
      const lease = attachments.leaseOf(key)
      writer.bool(lease !== NO_LEASE)
      if (lease !== NO_LEASE) writer.id(BigInt.asUintN(64, lease))
    }
    let before = 0
    for (let at = links.length - 1; at >= 0; at--) {
      const link = links[at] as number
      const main = chains.main(link)
      writer.counter(main - before)
      writer.counter(chains.sub(link) * 2 + (chains.isTombstone(link) ? 1 : 0))
      writer.uint32(chains.rowBytes(link))
      before = main
    }
  }
}

/**
 * Takes over a part, and the leases of its living keys into `leases`. False when the bytes are not
 * a part or do not follow the one before; what was taken over of it then has to be forgotten.
 */
export function readIndexPart(
  state: StoreState,
  part: Uint8Array,
  leases: Map<string, LeaseId>,
): boolean {
  try {
    return readKeys(state, part, leases)
  } catch (thrown) {
    if (thrown instanceof WireError) return false
    throw thrown
  }
}

function readKeys(state: StoreState, part: Uint8Array, leases: Map<string, LeaseId>): boolean {
  const { index } = state
  const reader = new Reader(part)
  let name: Uint8Array | undefined = new Uint8Array(0)
  while (reader.position < part.length) {
    name = readKey(reader, name)
    if (name === undefined) return false
    const key = latin1FromBytes(name)
    const count = reader.uint32()
    const version = reader.counter()
    const createRevision = version === 0 ? 0 : reader.counter()
    if (version !== 0 && reader.bool()) leases.set(key, leaseId(reader.signedId()))
    const head = readRevisions(state, reader, count)
    if (head === 0 || index.chains.isTombstone(head) !== (version === 0)) return false
    if (!index.restoreKey(key, { head, createRevision, version })) return false
  }
  return true
}

/**
 * The next key, in the buffer of the one before when both are of one length; undefined = there is
 * none.
 */
function readKey(reader: Reader, previous: Uint8Array): Uint8Array | undefined {
  const shared = reader.uint32()
  const rest = reader.uint32()
  const { bytesIn, position } = reader
  if (shared > previous.length || rest > bytesIn.length - position) return undefined
  const length = shared + rest
  let key = previous
  if (length !== previous.length) {
    key = new Uint8Array(length)
    for (let at = 0; at < shared; at++) key[at] = previous[at] as number
  }
  // Most often a few bytes: a loop costs less than a view of them.
  for (let at = 0; at < rest; at++) key[shared + at] = bytesIn[position + at] as number
  reader.position = position + rest
  return key
}

/** Returns the newest link; 0 = the revisions are not in order. */
function readRevisions(state: StoreState, reader: Reader, count: number): number {
  const { chains } = state.index
  let head = 0
  let main = 0
  for (let left = count; left > 0; left--) {
    main += reader.counter()
    const mark = reader.counter()
    if (mark > MARK_MAX) return 0
    const sub = mark >>> 1
    if (head !== 0 && chains.main(head) === main && chains.sub(head) >= sub) return 0
    head = chains.push(head, main, sub, mark % 2 === 1)
    chains.setRowBytes(head, reader.uint32())
  }
  if (main > state.currentRevision) state.currentRevision = main
  return head
}
