/** Ranges that are kept. */
const ENTRIES_MAX = 2048
/** Requests and answers that are kept, bytes together; a pair beyond a sixteenth of it is not. */
const BYTES_MAX = 64 * 1024 * 1024
const ENTRY_BYTES_MAX = BYTES_MAX / 16

/** Keys as latin1: `end` is '' for one key, '\0' for all keys from `key` on, else exclusive. */
export interface KeyRange {
  readonly key: string
  readonly end: string
}

interface Entry extends KeyRange {
  readonly answer: Uint8Array
  readonly revision: number
}

const endOf = ({ key, end }: KeyRange): string | undefined =>
  end === '' ? `${key}\0` : end === '\0' ? undefined : end

/** Whether two ranges have a key in common. */
export function overlaps(one: KeyRange, other: KeyRange): boolean {
  const oneEnd = endOf(one)
  const otherEnd = endOf(other)
  return (
    (otherEnd === undefined || one.key < otherEnd) && (oneEnd === undefined || other.key < oneEnd)
  )
}

export type Cached =
  | Readonly<{ kind: 'hit'; answer: Uint8Array }>
  | Readonly<{ kind: 'compacted' }>
  | Readonly<{ kind: 'miss' }>

/**
 * Answers to serializable ranges, the least recently used going first. Writes through the proxy
 * take out what they touch; what others write is not seen, which "serializable" allows. Answers at
 * a revision never change, until they are compacted.
 */
export class RangeCache {
  /** In the order of use. */
  readonly #entries = new Map<string, Entry>()
  /** Requests of one key at no revision, by that key: what most writes touch. */
  readonly #byKey = new Map<string, Set<string>>()
  /** Requests of several keys at no revision. */
  readonly #ranges = new Set<string>()
  #bytes = 0
  #compactedRevision = 0
  #generation = 0

  get size(): number {
    return this.#entries.size
  }

  /** Changes with every write. An answer asked for before one must not be kept after it. */
  get generation(): number {
    return this.#generation
  }

  get(request: string, revision: number): Cached {
    if (revision > 0 && revision < this.#compactedRevision) {
      this.#remove(request)
      return { kind: 'compacted' }
    }
    const entry = this.#entries.get(request)
    if (entry === undefined) return { kind: 'miss' }
    this.#entries.delete(request)
    this.#entries.set(request, entry)
    return { kind: 'hit', answer: entry.answer }
  }

  /** `generation` is that of before the range was asked. */
  add(request: string, entry: Entry, generation: number): void {
    if (entry.revision === 0 && generation !== this.#generation) return
    if (entry.revision > 0 && entry.revision < this.#compactedRevision) return
    const bytes = request.length + entry.answer.length
    if (bytes > ENTRY_BYTES_MAX) return
    this.#remove(request)
    this.#entries.set(request, entry)
    this.#bytes += bytes
    if (entry.revision === 0) this.#index(request, entry)
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= ENTRIES_MAX && this.#bytes <= BYTES_MAX) break
      this.#remove(oldest)
    }
  }

  /** Keys in this range are written. */
  invalidate(range: KeyRange): void {
    this.#generation += 1
    const isOne = range.end === ''
    if (isOne) for (const request of [...(this.#byKey.get(range.key) ?? [])]) this.#remove(request)
    else {
      for (const [key, requests] of [...this.#byKey])
        if (overlaps(range, { key, end: '' })) for (const one of [...requests]) this.#remove(one)
    }
    for (const request of [...this.#ranges]) {
      const entry = this.#entries.get(request)
      if (entry !== undefined && overlaps(range, entry)) this.#remove(request)
    }
  }

  compact(revision: number): void {
    this.#compactedRevision = Math.max(this.#compactedRevision, revision)
  }

  #index(request: string, { key, end }: Entry): void {
    if (end !== '') {
      this.#ranges.add(request)
      return
    }
    const requests = this.#byKey.get(key)
    if (requests === undefined) this.#byKey.set(key, new Set([request]))
    else requests.add(request)
  }

  #remove(request: string): void {
    const entry = this.#entries.get(request)
    if (entry === undefined) return
    this.#entries.delete(request)
    this.#ranges.delete(request)
    this.#bytes -= request.length + entry.answer.length
    const requests = this.#byKey.get(entry.key)
    requests?.delete(request)
    if (requests?.size === 0) this.#byKey.delete(entry.key)
  }
}
