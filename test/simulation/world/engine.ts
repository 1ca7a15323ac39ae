import { bytesFromLatin1, latin1FromBytes } from '../../../src/base/latin1.js'
import { copyToSlab } from '../../../src/base/slab.js'
import type {
  Completion,
  CompletionWith,
  EngineBatch,
  EngineEntry,
  EngineIterator,
  EngineRange,
  EngineSnapshot,
  KeyValueEngine,
  KeyValueEngines,
} from '../../../src/ports/key-value-engine.js'

import { diskError } from './disk.js'

/** Runs a task later: the simulator's event queue, or setImmediate in plain tests. */
export type Defer = (task: () => void) => void

/** All that an engine held at one time, and how many look at it: as long as any does, it does not change. */
interface Content {
  readonly values: Map<string, Uint8Array>
  holders: number
}
type Change = readonly [key: string, value: Uint8Array | undefined]

const CLOSED = 'the engine is closed'

const nameOf = latin1FromBytes
const keyOf = bytesFromLatin1

/** What one engine's directory holds: what a power loss leaves, and batches that it may take. */
interface Stored {
  durable: Map<string, Uint8Array>
  /** Written without sync, oldest first; a power loss removes some number of the last. */
  unsynced: (readonly Change[])[]
}

/**
 * Engines in memory that keep LevelDB's contract: atomic batches, those without sync lost as a suffix on power loss,
 * snapshots, iterators over the state at their creation.
 */
export class SimulatedEngines implements KeyValueEngines {
  readonly #defer: Defer
  readonly #commitsEarly: () => boolean
  readonly #stored = new Map<string, Stored>()
  readonly #open = new Map<string, SimulatedEngine>()
  /** Processes that had these engines and ended. */
  #generation = 0
  /** The next batch that is written fails; whether it is there afterwards is not known. */
  failsNextWrite = false
  /** Snapshots and iterators that were not closed; zero when everything is quiet. */
  openHandles = 0

  /**
   * `commitsEarly` says of each batch whether it is there, for readers and for whoever looks after a crash, as soon as
   * it is handed over, long before its completion: an engine writes in a thread of its own.
   */
  constructor(defer: Defer, commitsEarly: () => boolean = () => false) {
    this.#defer = defer
    this.#commitsEarly = commitsEarly
  }

  open(name: string, done: CompletionWith<KeyValueEngine | undefined>): void {
    this.#defer(() => {
      if (this.#open.has(name)) {
        done(new Error(`engine ${name} is open already`), undefined)
        return
      }
      const stored = this.#stored.get(name) ?? { durable: new Map(), unsynced: [] }
      this.#stored.set(name, stored)
      const engine = new SimulatedEngine(stored, this.#defer, this.#commitsEarly, {
        onClose: () => this.#open.delete(name),
        takeFailure: () => {
          const fails = this.failsNextWrite
          this.failsNextWrite = false
          return fails
        },
        count: (change) => {
          this.openHandles += change
        },
      })
      this.#open.set(name, engine)
      done(undefined, engine)
    })
  }

  list(done: CompletionWith<readonly string[]>): void {
    this.#defer(() => done(undefined, [...this.#stored.keys()].sort()))
  }

  rename(from: string, to: string, done: Completion): void {
    this.#defer(() => {
      const stored = this.#stored.get(from)
      if (stored === undefined || this.#stored.has(to) || this.#open.has(from)) {
        done(new Error(`cannot rename ${from} to ${to}`))
        return
      }
      this.#stored.delete(from)
      this.#stored.set(to, stored)
      done(undefined)
    })
  }

  destroy(name: string, done: Completion): void {
    this.#defer(() => {
      if (this.#open.has(name)) {
        done(new Error(`engine ${name} is open`))
        return
      }
      this.#stored.delete(name)
      done(undefined)
    })
  }

  /**
   * The engines as one process has them: once it has ended, nothing that is left of it does anything any more, and
   * nothing that it waited for comes.
   */
  ofProcess(): KeyValueEngines {
    const generation = this.#generation
    const isAlive = (): boolean => generation === this.#generation
    return {
      open: (name, done) => isAlive() && this.open(name, done),
      list: (done) => isAlive() && this.list(done),
      rename: (from, to, done) => isAlive() && this.rename(from, to, done),
      destroy: (name, done) => isAlive() && this.destroy(name, done),
    }
  }

  /** The process ends: engines are gone, what was written stays. */
  crash(): void {
    this.#generation++
    for (const engine of this.#open.values()) engine.kill()
    this.#open.clear()
    this.openHandles = 0
  }

  /** The machine is replaced by an empty one. */
  wipe(): void {
    this.crash()
    this.#stored.clear()
  }

  /** The machine loses power: of the unsynced batches of each engine the last `lose(count)` are gone. */
  powerLoss(lose: (unsyncedCount: number) => number): void {
    this.crash()
    for (const stored of this.#stored.values()) {
      const kept = stored.unsynced.length - lose(stored.unsynced.length)
      for (const changes of stored.unsynced.slice(0, kept)) apply(stored.durable, changes)
      stored.unsynced = []
    }
  }
}

function apply(content: Map<string, Uint8Array>, changes: readonly Change[]): void {
  for (const [key, value] of changes) {
    if (value === undefined) content.delete(key)
    else content.set(key, value)
  }
}

class SimulatedSnapshot implements EngineSnapshot {
  readonly content: Content
  readonly #onClose: () => void
  #isOpen = true

  constructor(content: Content, onClose: () => void) {
    this.content = content
    this.#onClose = onClose
  }

  close(): void {
    if (this.#isOpen) this.#onClose()
    this.#isOpen = false
  }
}

interface Handles {
  readonly onClose: () => void
  /** Whether this write is the one that fails. */
  readonly takeFailure: () => boolean
  readonly count: (change: 1 | -1) => void
}

class SimulatedEngine implements KeyValueEngine {
  readonly #stored: Stored
  readonly #defer: Defer
  readonly #commitsEarly: () => boolean
  readonly #handles: Handles
  /** Everything written. Replaced, never changed, while someone looks at it. */
  #content: Content
  /** Its names in order; nobody outside keeps this. */
  #sorted: string[] | undefined
  #isDead = false
  #isClosed = false
  #isWriting = false

  constructor(stored: Stored, defer: Defer, commitsEarly: () => boolean, handles: Handles) {
    this.#stored = stored
    this.#commitsEarly = commitsEarly
    this.#handles = handles
    // A dead engine completes nothing.
    this.#defer = (task) =>
      defer(() => {
        if (!this.#isDead) task()
      })
    this.#content = { values: new Map(stored.durable), holders: 0 }
    for (const changes of stored.unsynced) apply(this.#content.values, changes)
  }

  get(key: Uint8Array): Uint8Array | undefined {
    this.#assertOpen()
    return this.#content.values.get(nameOf(key))
  }

  getMany(
    keys: readonly Uint8Array[],
    done: CompletionWith<readonly (Uint8Array | undefined)[]>,
  ): void {
    if (this.#isClosed) {
      this.#defer(() => done(new Error(CLOSED), []))
      return
    }
    const values = keys.map((key) => this.get(key))
    this.#defer(() => done(undefined, values))
  }

  batch(): EngineBatch {
    this.#assertOpen()
    const changes: Change[] = []
    return {
      get count() {
        return changes.length
      },
      put: (key, value) => {
        changes.push([nameOf(key), copyToSlab(value)])
      },
      delete: (key) => {
        changes.push([nameOf(key), undefined])
      },
      write: (options, done) => this.#write(changes, options.sync, done),
      discard: () => {
        changes.length = 0
      },
    }
  }

  iterator(
    range: EngineRange,
    options: { readonly snapshot?: EngineSnapshot; readonly isReverse?: boolean } = {},
  ): EngineIterator {
    this.#assertOpen()
    const { snapshot } = options
    const content = snapshot instanceof SimulatedSnapshot ? snapshot.content : this.#content
    content.holders++
    const start = nameOf(range.start)
    const end = nameOf(range.end)
    const sorted = this.#namesOf(content)
    const names = sorted.slice(lowerBound(sorted, start), lowerBound(sorted, end))
    if (options.isReverse === true) names.reverse()
    let at = 0
    let isOpen = true
    this.#handles.count(1)
    return {
      next: (entriesMax, done) => {
        if (this.#isClosed) {
          this.#defer(() => done(new Error(CLOSED), []))
          return
        }
        const entries: EngineEntry[] = names.slice(at, at + entriesMax).map((name) => ({
          key: keyOf(name),
          value: content.values.get(name) ?? new Uint8Array(0),
        }))
        at += entries.length
        this.#defer(() => done(undefined, entries))
      },
      close: () => {
        if (!isOpen) return
        isOpen = false
        content.holders--
        this.#handles.count(-1)
      },
    }
  }

  snapshot(): EngineSnapshot {
    this.#assertOpen()
    const content = this.#content
    content.holders++
    this.#handles.count(1)
    return new SimulatedSnapshot(content, () => {
      content.holders--
      this.#handles.count(-1)
    })
  }

  approximateSize(range: EngineRange, done: CompletionWith<number>): void {
    const start = nameOf(range.start)
    const end = nameOf(range.end)
    let bytes = 0
    for (const [name, value] of this.#content.values) {
      if (name >= start && name < end) bytes += name.length + value.length
    }
    this.#defer(() => done(undefined, bytes))
  }

  compactRange(_range: EngineRange, done: Completion): void {
    this.#defer(() => done(undefined))
  }

  close(done: Completion): void {
    this.#isClosed = true
    this.#defer(() => {
      this.#handles.onClose()
      done(undefined)
    })
  }

  kill(): void {
    this.#isDead = true
  }

  /** As LevelDB does: who goes on with an engine that was closed has made a mistake. */
  #assertOpen(): void {
    if (this.#isClosed) throw new Error(CLOSED)
  }

  #write(changes: readonly Change[], sync: boolean, done: Completion): void {
    if (this.#isWriting) throw new Error('one write at a time per engine')
    this.#isWriting = true
    const isEarly = this.#commitsEarly()
    const fails = this.#handles.takeFailure()
    const commit = (): void => {
      if (changes.length > 0) this.#commit([...changes], sync)
    }
    if (isEarly) commit()
    this.#defer(() => {
      this.#isWriting = false
      if (fails) {
        done(diskError('IO', 'the engine'))
        return
      }
      if (!isEarly) commit()
      done(undefined)
    })
  }

  #commit(changes: readonly Change[], sync: boolean): void {
    if (this.#content.holders > 0)
      this.#content = { values: new Map(this.#content.values), holders: 0 }
    this.#sorted = this.#resorted(changes)
    apply(this.#content.values, changes)
    this.#stored.unsynced.push(changes)
    if (!sync) return
    for (const earlier of this.#stored.unsynced) apply(this.#stored.durable, earlier)
    this.#stored.unsynced = []
  }

  /** The names in order once more, with what a small batch adds and takes; undefined when sorting all is as good. */
  #resorted(changes: readonly Change[]): string[] | undefined {
    const sorted = this.#sorted
    if (sorted === undefined || changes.length > SMALL_BATCH_CHANGES) return undefined
    for (const [name, value] of changes) {
      const at = lowerBound(sorted, name)
      const isThere = sorted[at] === name
      if (value !== undefined && !isThere) sorted.splice(at, 0, name)
      else if (value === undefined && isThere) sorted.splice(at, 1)
    }
    return sorted
  }

  #namesOf(content: Content): readonly string[] {
    if (content !== this.#content) return [...content.values.keys()].sort()
    this.#sorted ??= [...content.values.keys()].sort()
    return this.#sorted
  }
}

/** Up to so many changes the order of the names is mended instead of made again. */
const SMALL_BATCH_CHANGES = 32

/** Where the first name that is not below `bound` is. */
function lowerBound(sorted: readonly string[], bound: string): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((sorted[middle] ?? '') < bound) low = middle + 1
    else high = middle
  }
  return low
}
