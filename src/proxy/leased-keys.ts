import { invariant } from '../base/invariant.js'
import type { KeyValue } from '../wire/mvccpb.js'
import type * as rpc from '../wire/rpc.js'
import { type KeyRange, overlaps } from './range-cache.js'

/** Keys that are held at once, and the bytes of their values together. */
const KEYS_MAX = 8192
const BYTES_MAX = 64 * 1024 * 1024
/** How long a key that was given back is not taken again, ms; and how many such are remembered. */
const TAKE_AGAIN_MS = 2000
const GIVEN_BACK_MAX = 8192

/** What is known of a key: nobody else changes it while it is held. */
export interface KnownValue {
  /** Of the answer that told it, or of the newest own write. */
  readonly header: rpc.ResponseHeader
  /** undefined = there is no such key. */
  readonly kv: KeyValue | undefined
}

/** A key of which this proxy is the only writer. */
export class LeasedKey {
  /** The client's key as latin1. */
  readonly name: string
  /** At which it became ours; the key that says so was created then. */
  readonly revision: number
  #known: KnownValue
  #settled: Promise<void> | undefined

  constructor(name: string, revision: number, known: KnownValue) {
    this.name = name
    this.revision = revision
    this.#known = known
  }

  get known(): KnownValue {
    return this.#known
  }

  /** Resolves once the writes that are under way now have ended; undefined = none is. */
  get settled(): Promise<void> | undefined {
    return this.#settled
  }

  /** A write of ours took place. */
  learn(known: KnownValue): void {
    // A deletion of what is not there leaves the revision where it was.
    invariant(known.header.revision >= this.revision, 'a write came before its key was ours')
    this.#known = known
  }

  /** Takes a place behind the writes under way; the result ends this one. */
  enqueue(): () => void {
    let leave = (): void => undefined
    const left = new Promise<void>((resolve) => {
      leave = resolve
    })
    const before = this.#settled ?? Promise.resolve()
    const settled = before.then(() => left)
    this.#settled = settled
    void settled.then(() => {
      if (this.#settled === settled) this.#settled = undefined
    })
    return leave
  }
}

/** The keys that this proxy holds, in the order of their use. */
export class LeasedKeys {
  readonly #keys = new Map<string, LeasedKey>()
  /** When they were given back. */
  readonly #givenBack = new Map<string, number>()
  #bytes = 0

  get size(): number {
    return this.#keys.size
  }

  get(name: string): LeasedKey | undefined {
    return this.#keys.get(name)
  }

  /** The same, and it is now the last one to be given back for want of room. */
  use(name: string): LeasedKey | undefined {
    const key = this.#keys.get(name)
    if (key === undefined) return undefined
    this.#keys.delete(name)
    this.#keys.set(name, key)
    return key
  }

  within(range: KeyRange): readonly LeasedKey[] {
    if (range.end === '') {
      const key = this.#keys.get(range.key)
      return key === undefined ? [] : [key]
    }
    return [...this.#keys.values()].filter(({ name }) => overlaps(range, { key: name, end: '' }))
  }

  /** Those that must go to make room for it. */
  add(key: LeasedKey): readonly LeasedKey[] {
    invariant(!this.#keys.has(key.name), 'a key became ours twice')
    this.#keys.set(key.name, key)
    this.#bytes += bytesOf(key)
    const excess: LeasedKey[] = []
    let [count, bytes] = [this.#keys.size, this.#bytes]
    for (const oldest of this.#keys.values()) {
      if (count <= KEYS_MAX && bytes <= BYTES_MAX) break
      excess.push(oldest)
      count -= 1
      bytes -= bytesOf(oldest)
    }
    return excess
  }

  learn(key: LeasedKey, known: KnownValue): void {
    this.#bytes -= bytesOf(key)
    key.learn(known)
    this.#bytes += bytesOf(key)
  }

  /** False when it is not this one that is held. */
  maybeRemove(key: LeasedKey): boolean {
    if (this.#keys.get(key.name) !== key) return false
    this.#keys.delete(key.name)
    this.#bytes -= bytesOf(key)
    this.#givenBack.delete(key.name)
    this.#givenBack.set(key.name, performance.now())
    for (const oldest of this.#givenBack.keys()) {
      if (this.#givenBack.size <= GIVEN_BACK_MAX) break
      this.#givenBack.delete(oldest)
    }
    return true
  }

  /** Not at once after it was given back: whoever asked for it shall have it for a while. */
  mayTake(name: string): boolean {
    const since = this.#givenBack.get(name)
    if (since !== undefined && performance.now() - since <= TAKE_AGAIN_MS) return false
    this.#givenBack.delete(name)
    return true
  }

  clear(): void {
    this.#keys.clear()
    this.#givenBack.clear()
    this.#bytes = 0
  }
}

const bytesOf = ({ name, known }: LeasedKey): number => name.length + (known.kv?.value.length ?? 0)

/** Writes of these keys wait for each other; resolves, when it is this one's turn, to its end. */
export async function holdKeys(keys: readonly LeasedKey[]): Promise<() => void> {
  // All places are taken at one moment, so two writes never wait for each other.
  const before = keys.map(({ settled }) => settled)
  const leaves = keys.map((key) => key.enqueue())
  await Promise.all(before)
  return () => {
    for (const leave of leaves) leave()
  }
}
