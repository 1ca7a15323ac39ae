import { invariant } from '../base/invariant.js'

/** Reads exactly `bytes` bytes at `offset`; throws when the file has fewer. */
export type ReadAt = (offset: number, bytes: number) => Uint8Array

export interface BoltEntry {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** The file is no bbolt database, or a damaged one. */
export class BoltFileError extends Error {
  override readonly name = 'BoltFileError'
}

const HEADER_BYTES = 16
const META_BYTES = 64
const META_CHECKED_BYTES = 56
const ELEMENT_BYTES = 16
const MAGIC = 0xed0cdaed
const VERSION = 2
const PAGE_BRANCH = 0x01
const PAGE_LEAF = 0x02
const ELEMENT_IS_BUCKET = 0x01
const PAGE_BYTES_MIN = 512
const PAGE_BYTES_MAX = 65_536
/** Deeper than any tree whose branches have at least two children and whose ids fit the file. */
const DEPTH_MAX = 64

interface Meta {
  readonly pageBytes: number
  readonly root: number
  readonly transaction: bigint
}

/** A page with its bytes; of an inline bucket the bytes are part of another page. */
interface Page {
  readonly bytes: Uint8Array
  readonly view: DataView
  readonly isLeaf: boolean
  readonly count: number
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** FNV-1a over 64 bits, which bbolt puts behind a meta page. */
function fnv1a(bytes: Uint8Array): bigint {
  let hash = 0xcbf29ce484222325n
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n)
  return hash
}

/** A 64-bit number that counts pages: more than 2^53 cannot be in a file. */
function pageId(view: DataView, offset: number): number {
  const id = Number(view.getBigUint64(offset, true))
  if (!Number.isSafeInteger(id)) throw new BoltFileError('page id out of range')
  return id
}

/**
 * The database file of etcd (bbolt), for reading. It must not change meanwhile: whoever opens it
 * has made sure that no etcd runs on it. Pages are read when they are needed and not kept. Throws
 * BoltFileError for what is no database or damaged. Format: facts of bbolt's pages; all integers
 * are little-endian.
 */
export class BoltFile {
  readonly #readAt: ReadAt
  readonly #fileBytes: number
  readonly #meta: Meta

  constructor(readAt: ReadAt, fileBytes: number) {
    this.#readAt = readAt
    this.#fileBytes = fileBytes
    this.#meta = this.#newestMeta()
  }

  /** The first meta page, or the second where a commit wrote that one last or the first is torn. */
  #newestMeta(): Meta {
    const first = this.#metaAt(0)
    const sizes: number[] = []
    for (let size = PAGE_BYTES_MIN; size <= PAGE_BYTES_MAX; size *= 2) sizes.push(size)
    const second = (first === undefined ? sizes : [first.pageBytes])
      .map((size) => this.#metaAt(size))
      .find((meta) => meta !== undefined)
    if (first === undefined && second === undefined) throw new BoltFileError('invalid database')
    if (first === undefined || (second !== undefined && second.transaction > first.transaction)) {
      invariant(second !== undefined, 'one of two meta pages is valid')
      return second
    }
    return first
  }

  #metaAt(offset: number): Meta | undefined {
    if (offset + HEADER_BYTES + META_BYTES > this.#fileBytes) return undefined
    const bytes = this.#readAt(offset + HEADER_BYTES, META_BYTES)
    const view = viewOf(bytes)
    const isMeta = view.getUint32(0, true) === MAGIC && view.getUint32(4, true) === VERSION
    const pageBytes = view.getUint32(8, true)
    if (!isMeta || pageBytes < PAGE_BYTES_MIN || pageBytes > PAGE_BYTES_MAX) return undefined
    const sum = view.getBigUint64(META_CHECKED_BYTES, true)
    if (sum !== fnv1a(bytes.subarray(0, META_CHECKED_BYTES))) return undefined
    return { pageBytes, root: pageId(view, 16), transaction: view.getBigUint64(48, true) }
  }

  /** Names of the buckets, in bytewise order. */
  buckets(): string[] {
    const names: string[] = []
    for (const { key, isBucket } of this.#walk(this.#page(this.#meta.root), 0)) {
      if (isBucket) names.push(new TextDecoder().decode(key))
    }
    return names
  }

  /**
   * All entries of a bucket, in bytewise order of their keys; none when there is no such bucket.
   */
  *entries(bucket: string): Generator<BoltEntry> {
    const name = new TextEncoder().encode(bucket)
    for (const found of this.#walk(this.#page(this.#meta.root), 0)) {
      const { key, value, isBucket } = found
      if (!isBucket || key.length !== name.length || key.some((byte, at) => byte !== name[at])) {
        continue
      }
      for (const entry of this.#walk(this.#rootOf(value), 0)) {
        if (!entry.isBucket) yield { key: entry.key, value: entry.value }
      }
    }
  }

  /** A small bucket is a page inside its value; a larger one has a page of its own. */
  #rootOf(bucket: Uint8Array): Page {
    if (bucket.length < HEADER_BYTES) throw new BoltFileError('bucket cut off')
    const root = pageId(viewOf(bucket), 0)
    return root === 0 ? parsePage(bucket.slice(HEADER_BYTES)) : this.#page(root)
  }

  #page(id: number): Page {
    const { pageBytes } = this.#meta
    const offset = id * pageBytes
    const left = this.#fileBytes - offset
    if (left < HEADER_BYTES) throw new BoltFileError(`page ${id}: out of bounds`)
    const head = viewOf(this.#readAt(offset, HEADER_BYTES))
    if (pageId(head, 0) !== id) throw new BoltFileError(`page ${id}: another page is in its place`)
    const bytes = (head.getUint32(12, true) + 1) * pageBytes
    if (bytes > left) throw new BoltFileError(`page ${id}: out of bounds`)
    return parsePage(this.#readAt(offset, bytes))
  }

  *#walk(page: Page, depth: number): Generator<BoltEntry & { readonly isBucket: boolean }> {
    if (depth > DEPTH_MAX) throw new BoltFileError('tree too deep')
    const { bytes, view, count, isLeaf } = page
    for (let at = 0; at < count; at += 1) {
      const element = HEADER_BYTES + at * ELEMENT_BYTES
      if (!isLeaf) {
        yield* this.#walk(this.#page(pageId(view, element + 8)), depth + 1)
        continue
      }
      const start = element + view.getUint32(element + 4, true)
      const middle = start + view.getUint32(element + 8, true)
      const end = middle + view.getUint32(element + 12, true)
      if (end > bytes.length) throw new BoltFileError('entry out of its page')
      yield {
        key: bytes.subarray(start, middle),
        value: bytes.subarray(middle, end),
        isBucket: (view.getUint32(element, true) & ELEMENT_IS_BUCKET) !== 0,
      }
    }
  }
}

function parsePage(bytes: Uint8Array): Page {
  if (bytes.length < HEADER_BYTES) throw new BoltFileError('page cut off')
  const view = viewOf(bytes)
  const flags = view.getUint16(8, true)
  const count = view.getUint16(10, true)
  const isLeaf = flags === PAGE_LEAF
  if (!isLeaf && flags !== PAGE_BRANCH) throw new BoltFileError(`invalid page type ${flags}`)
  if (HEADER_BYTES + count * ELEMENT_BYTES > bytes.length) {
    throw new BoltFileError('page with more elements than it has room for')
  }
  return { bytes, view, isLeaf, count }
}
