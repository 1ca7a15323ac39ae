/** Header blocks that are remembered on one connection. A power of two. */
const SLOT_COUNT = 8
/** Longer blocks are decoded each time. */
const BLOCK_BYTES_MAX = 512

interface CachedBlock<Value> {
  readonly bytes: Uint8Array
  /** The table generation under which the block was decoded. */
  readonly generation: number
  readonly value: Value
}

/**
 * What header blocks meant when they were decoded last. A block may be put here only when decoding
 * it changed nothing in the table, and means the same only while the table has not changed since.
 */
export class BlockCache<Value> {
  #slots: (CachedBlock<Value> | undefined)[] | undefined

  get(bytes: Uint8Array, start: number, end: number, generation: number): Value | undefined {
    const slot = this.#slots?.[slotOf(bytes, start, end)]
    if (slot === undefined || slot.generation !== generation) return undefined
    const known = slot.bytes
    if (known.length !== end - start) return undefined
    for (let at = 0; at < known.length; at++) {
      if (known[at] !== bytes[start + at]) return undefined
    }
    return slot.value
  }

  put(
    bytes: Uint8Array,
    start: number,
    end: number,
    entry: { readonly generation: number; readonly value: Value },
  ): void {
    if (end - start > BLOCK_BYTES_MAX) return
    this.#slots ??= new Array<CachedBlock<Value> | undefined>(SLOT_COUNT).fill(undefined)
    const { generation, value } = entry
    this.#slots[slotOf(bytes, start, end)] = {
      bytes: Uint8Array.prototype.slice.call(bytes, start, end),
      generation,
      value,
    }
  }
}

/** The blocks of one client differ in few bytes; length and the last four tell most apart. */
function slotOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = end - start
  for (let at = Math.max(start, end - 12); at < end; at++) hash = (hash * 31 + (bytes[at] ?? 0)) | 0
  return hash & (SLOT_COUNT - 1)
}
