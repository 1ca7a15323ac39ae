/**
 * The door to the ordered key-value engine under the backend: LevelDB in production, a sorted map
 * in the simulator. Types only; the contract is test/contract/key-value-engine.contract.ts.
 *
 * Whatever takes time ends in a completion, called once, never from inside the call that asked for
 * it.
 */

/** Ends an operation: undefined when it succeeded. */
export type Completion = (failure: Error | undefined) => void
/** Ends an operation that gives something. */
export type CompletionWith<T> = (failure: Error | undefined, result: T) => void

/** Half-open range of keys, unsigned bytewise. */
export interface EngineRange {
  /** Inclusive; empty = from the first key. */
  readonly start: Uint8Array
  /** Exclusive. */
  readonly end: Uint8Array
}

export interface EngineEntry {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/**
 * Changes that become visible and durable together. Handed over once; unusable after `write` or
 * `discard`.
 */
export interface EngineBatch {
  /** The bytes are copied before this returns. A later change of the same key in the batch wins. */
  put(key: Uint8Array, value: Uint8Array): void
  delete(key: Uint8Array): void
  /** Changes so far. */
  readonly count: number
  /**
   * Applies all of it atomically. With `sync` it and all earlier batches are on disk when `done`
   * comes; without, a power loss may take the newest batches with it, never one from the middle.
   * One write at a time per engine. A batch without changes does nothing, whatever `sync` says.
   */
  write(options: { readonly sync: boolean }, done: Completion): void
  discard(): void
}

/** A frozen state of the engine. Must be closed; several readers may use it. */
export interface EngineSnapshot {
  close(): void
}

/**
 * Walks a range in key order over the state at its creation. One `next` at a time. Must be closed.
 */
export interface EngineIterator {
  /** Up to `entriesMax` further entries; fewer only near the end, none at the end. */
  next(entriesMax: number, done: CompletionWith<readonly EngineEntry[]>): void
  /** Safe to call more than once; a `next` under way still completes. */
  close(): void
}

export interface KeyValueEngine {
  /**
   * The value, or undefined when the key is absent. Synchronous; the bytes are the caller's own.
   */
  get(key: Uint8Array): Uint8Array | undefined
  /**
   * Values of many keys, read off the main thread where the engine can; undefined for absent ones.
   */
  getMany(
    keys: readonly Uint8Array[],
    done: CompletionWith<readonly (Uint8Array | undefined)[]>,
  ): void
  batch(): EngineBatch
  iterator(
    range: EngineRange,
    options?: { readonly snapshot?: EngineSnapshot; readonly isReverse?: boolean },
  ): EngineIterator
  snapshot(): EngineSnapshot
  /** Bytes on disk of the range, without what is still in the engine's memory; cheap. */
  approximateSize(range: EngineRange, done: CompletionWith<number>): void
  /** Rewrites the range without its dead entries, in the background: reads and writes go on. */
  compactRange(range: EngineRange, done: Completion): void
  /**
   * Waits for what is under way, then gives everything back. No call may follow: what has a
   * completion fails, the rest throws.
   */
  close(done: Completion): void
}

/** Where engines live: each in a directory of its own, below one parent. */
export interface KeyValueEngines {
  /** Opens the named engine; creates it when absent. */
  open(name: string, done: CompletionWith<KeyValueEngine | undefined>): void
  /** Names present, in order. */
  list(done: CompletionWith<readonly string[]>): void
  /** Renames a closed engine durably; the target must be absent. */
  rename(from: string, to: string, done: Completion): void
  /** Removes a closed engine durably; succeeds when it is absent. */
  destroy(name: string, done: Completion): void
}
