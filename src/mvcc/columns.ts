/**
 * Growing columns of numbers. Each is a list of fixed chunks, so that growing never copies what is
 * there: a column of a million numbers would otherwise hold the event loop each time it doubles.
 */
const CHUNK_BITS = 15
const CHUNK_SIZE = 1 << CHUNK_BITS
const CHUNK_MASK = CHUNK_SIZE - 1

/** Whole numbers up to 2^53 - 1; 0 where nothing was set. */
export class CounterColumn {
  readonly #chunks: Float64Array[] = []

  get(index: number): number {
    const chunk = this.#chunks[index >>> CHUNK_BITS]
    return chunk === undefined ? 0 : (chunk[index & CHUNK_MASK] as number)
  }

  set(index: number, value: number): void {
    const at = index >>> CHUNK_BITS
    while (this.#chunks.length <= at) this.#chunks.push(new Float64Array(CHUNK_SIZE))
    const chunk = this.#chunks[at] as Float64Array
    chunk[index & CHUNK_MASK] = value
  }
}

/** Whole numbers up to 2^32 - 1; 0 where nothing was set. */
export class WordColumn {
  readonly #chunks: Uint32Array[] = []

  get(index: number): number {
    const chunk = this.#chunks[index >>> CHUNK_BITS]
    return chunk === undefined ? 0 : (chunk[index & CHUNK_MASK] as number)
  }

  set(index: number, value: number): void {
    const at = index >>> CHUNK_BITS
    while (this.#chunks.length <= at) this.#chunks.push(new Uint32Array(CHUNK_SIZE))
    const chunk = this.#chunks[at] as Uint32Array
    chunk[index & CHUNK_MASK] = value
  }
}
