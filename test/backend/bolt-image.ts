/** Builds small bbolt files, page by page, so that tests can have any shape and any damage. */

const PAGE_BYTES = 4096
const HEADER_BYTES = 16
const ELEMENT_BYTES = 16
const BRANCH = 1
const LEAF = 2
const META = 4

type Entry = readonly [key: string, value: Uint8Array, isBucket?: boolean]

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

/** Header, elements and data of a page, padded to whole pages unless it goes inside a bucket. */
function page(
  id: number,
  kind: number,
  entries: readonly (Entry | readonly [string, number])[],
): Uint8Array {
  const dataStart = HEADER_BYTES + entries.length * ELEMENT_BYTES
  const data = entries.map(([key, value]) =>
    typeof value === 'number' ? bytesOf(key) : Uint8Array.from([...bytesOf(key), ...value]),
  )
  const size = data.reduce((sum, { length }) => sum + length, dataStart)
  const bytes = new Uint8Array(Math.ceil(size / PAGE_BYTES) * PAGE_BYTES)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(0, BigInt(id), true)
  view.setUint16(8, kind, true)
  view.setUint16(10, entries.length, true)
  view.setUint32(12, bytes.length / PAGE_BYTES - 1, true)
  let at = dataStart
  for (const [place, [key, value, isBucket]] of (entries as readonly Entry[]).entries()) {
    const element = HEADER_BYTES + place * ELEMENT_BYTES
    const keyBytes = bytesOf(key).length
    if (typeof value === 'number') {
      view.setUint32(element, at - element, true)
      view.setUint32(element + 4, keyBytes, true)
      view.setBigUint64(element + 8, BigInt(value), true)
    } else {
      view.setUint32(element, isBucket === true ? 1 : 0, true)
      view.setUint32(element + 4, at - element, true)
      view.setUint32(element + 8, keyBytes, true)
      view.setUint32(element + 12, value.length, true)
    }
    const content = data[place] ?? new Uint8Array(0)
    bytes.set(content, at)
    at += content.length
  }
  return id === 0 && kind === LEAF ? bytes.slice(0, size) : bytes
}

function fnv1a(bytes: Uint8Array): bigint {
  return bytes.reduce(
    (hash, byte) => ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn,
    0xcbf29ce484222325n,
  )
}

function meta(id: number, root: number, transaction: number): Uint8Array {
  const bytes = page(id, META, [])
  const view = new DataView(bytes.buffer, HEADER_BYTES)
  view.setUint32(0, 0xed0cdaed, true)
  view.setUint32(4, 2, true)
  view.setUint32(8, PAGE_BYTES, true)
  view.setBigUint64(16, BigInt(root), true)
  view.setBigUint64(32, 0xffffffffffffffffn, true)
  view.setBigUint64(48, BigInt(transaction), true)
  view.setBigUint64(56, fnv1a(bytes.subarray(HEADER_BYTES, HEADER_BYTES + 56)), true)
  return bytes
}

/** Value of a bucket whose root page is elsewhere. */
function bucketAt(root: number): Uint8Array {
  const value = new Uint8Array(16)
  new DataView(value.buffer).setBigUint64(0, BigInt(root), true)
  return value
}

/** Value of a bucket that carries its only page itself. */
function inlineBucket(entries: readonly Entry[]): Uint8Array {
  return Uint8Array.from([...new Uint8Array(16), ...page(0, LEAF, entries)])
}

export type BucketContent = readonly (readonly [key: string, value: string])[]

const leafEntries = (content: BucketContent): Entry[] =>
  content.map(([key, value]) => [key, bytesOf(value)])

/**
 * A file with a bucket `small` inside the root page, and a bucket `large` of two leaves below a branch. Each
 * value may be longer than a page. `transactions` are those of the two meta pages; the second meta page
 * points to an empty root.
 */
export function boltImage(
  options: Readonly<{
    small: readonly [name: string, content: BucketContent]
    large: readonly [name: string, content: readonly [BucketContent, BucketContent]]
    transactions?: readonly [number, number]
  }>,
): Uint8Array {
  const { small, large, transactions = [7, 6] } = options
  const [firstHalf, secondHalf] = large[1]
  const first = page(4, LEAF, leafEntries(firstHalf))
  const secondId = 4 + first.length / PAGE_BYTES
  const second = page(secondId, LEAF, leafEntries(secondHalf))
  const branchId = secondId + second.length / PAGE_BYTES
  const branch = page(branchId, BRANCH, [
    [firstHalf[0]?.[0] ?? '', 4],
    [secondHalf[0]?.[0] ?? '', secondId],
  ])
  const buckets: Entry[] = [
    [large[0], bucketAt(branchId), true],
    [small[0], inlineBucket(leafEntries(small[1])), true],
  ]
  buckets.sort(([left], [right]) => (left < right ? -1 : 1))
  const pages = [
    meta(0, 2, transactions[0]),
    meta(1, 3, transactions[1]),
    page(2, LEAF, buckets),
    emptyLeaf(3),
    first,
    second,
    branch,
  ]
  return Uint8Array.from(pages.flatMap((bytes) => [...bytes]))
}

const emptyLeaf = (id: number): Uint8Array => page(id, LEAF, [])
