import { mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
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
} from '../ports/key-value-engine.js'
import type { Log } from '../ports/log.js'
import { checkLevelDirectory } from './level-check.js'
import { TableChecks } from './table-checks.js'

type Database = Level<Uint8Array, Uint8Array>
type LevelSnapshot = ReturnType<Database['snapshot']>

/**
 * `level` has a class for browsers and one for Node; only the latter has these, and it is the one
 * we get.
 */
interface NativeDatabase {
  approximateSize(start: Uint8Array, end: Uint8Array): Promise<number>
  compactRange(start: Uint8Array, end: Uint8Array): Promise<void>
}

const OPEN_OPTIONS = {
  keyEncoding: 'view',
  valueEncoding: 'view',
  // The size of the database has to say what was stored, as etcd's does; quotas are tested with
  // zeros.
  compression: false,
  cacheSize: 16 * 1024 * 1024,
  writeBufferSize: 8 * 1024 * 1024,
  maxFileSize: 8 * 1024 * 1024,
  maxOpenFiles: 256,
} as const
/** An iterator reads ahead this many bytes off the main thread. */
const READ_AHEAD_BYTES = 1024 * 1024

const toError = (thrown: unknown): Error =>
  thrown instanceof Error ? thrown : new Error(String(thrown))

/**
 * Turns a promise into a completion in a turn of its own: what `done` throws ends the process, as
 * it should.
 */
function complete<T>(promise: Promise<T>, done: CompletionWith<T>, otherwise: T): void {
  promise.then(
    (result) => setImmediate(done, undefined, result),
    (thrown: unknown) => setImmediate(done, toError(thrown), otherwise),
  )
}

function completeVoid(promise: Promise<unknown>, done: Completion): void {
  promise.then(
    () => setImmediate(done, undefined),
    (thrown: unknown) => setImmediate(done, toError(thrown)),
  )
}

/** Says what is damaged; nothing is opened while it is there. */
const DAMAGED = 'leveldb.damaged'

/** LevelDB directories below one parent. */
export class LevelEngines implements KeyValueEngines {
  readonly #parent: string
  readonly #log: Log | undefined
  readonly #checks: TableChecks

  /** The parent is created when it is missing. What had to be mended goes to `log`. */
  constructor(parent: string, log?: Log) {
    this.#parent = parent
    this.#log = log
    this.#checks = new TableChecks({ mark: join(parent, DAMAGED) })
  }

  /** Resolves when what was opened so far is verified; rejects when some of it is damaged. */
  verified(): Promise<void> {
    return this.#checks.finish()
  }

  open(name: string, done: CompletionWith<KeyValueEngine | undefined>): void {
    complete<KeyValueEngine | undefined>(this.#open(name), done, undefined)
  }

  list(done: CompletionWith<readonly string[]>): void {
    const names = mkdir(this.#parent, { recursive: true, mode: 0o700 }).then(async () => {
      const entries = await readdir(this.#parent, { withFileTypes: true })
      return entries
        .filter((entry) => entry.isDirectory())
        .map((entry) => entry.name)
        .sort()
    })
    complete<readonly string[]>(names, done, [])
  }

  rename(from: string, to: string, done: Completion): void {
    const moved = rename(join(this.#parent, from), join(this.#parent, to))
    completeVoid(
      moved.then(() => this.#sync()),
      done,
    )
  }

  destroy(name: string, done: Completion): void {
    const removed = rm(join(this.#parent, name), { recursive: true, force: true })
    completeVoid(
      removed.then(() => this.#sync()),
      done,
    )
  }

  async #open(name: string): Promise<KeyValueEngine> {
    await mkdir(this.#parent, { recursive: true, mode: 0o700 })
    await this.#checks.begin(checkLevelDirectory(join(this.#parent, name), this.#log))
    const database = new Level<Uint8Array, Uint8Array>(join(this.#parent, name), OPEN_OPTIONS)
    try {
      await database.open()
    } catch (error) {
      // LevelDB's own words, and the file they are about, are in the cause.
      const cause = error instanceof Error ? (error.cause ?? error) : error
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new Error(`store: cannot open ${join(this.#parent, name)}: ${why}`, { cause: error })
    }
    return new LevelEngine(database)
  }

  /** Renames are durable once the directory is. */
  async #sync(): Promise<void> {
    const directory = await open(this.#parent, 'r').catch((thrown: unknown) => {
      if ((thrown as { code?: unknown }).code === 'ENOENT') return undefined
      throw thrown
    })
    try {
      await directory?.sync()
    } finally {
      await directory?.close()
    }
  }
}

class LevelEngine implements KeyValueEngine {
  readonly #database: Database
  readonly #native: NativeDatabase

  constructor(database: Database) {
    this.#database = database
    this.#native = database as unknown as NativeDatabase
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#database.getSync(key)
  }

  getMany(
    keys: readonly Uint8Array[],
    done: CompletionWith<readonly (Uint8Array | undefined)[]>,
  ): void {
    complete<readonly (Uint8Array | undefined)[]>(this.#database.getMany([...keys]), done, [])
  }

  batch(): EngineBatch {
    return new LevelBatch(this.#database)
  }

  iterator(
    range: EngineRange,
    options: { readonly snapshot?: EngineSnapshot; readonly isReverse?: boolean } = {},
  ): EngineIterator {
    const { snapshot } = options
    const frozen = snapshot instanceof FrozenLevel ? { snapshot: snapshot.inner } : {}
    return new LevelIterator(
      this.#database.iterator({
        gte: range.start,
        lt: range.end,
        reverse: options.isReverse === true,
        ...frozen,
        ...{ highWaterMarkBytes: READ_AHEAD_BYTES },
      }),
    )
  }

  snapshot(): EngineSnapshot {
    return new FrozenLevel(this.#database.snapshot())
  }

  approximateSize(range: EngineRange, done: CompletionWith<number>): void {
    complete(this.#native.approximateSize(range.start, range.end), done, 0)
  }

  compactRange(range: EngineRange, done: Completion): void {
    completeVoid(this.#native.compactRange(range.start, range.end), done)
  }

  close(done: Completion): void {
    completeVoid(this.#database.close(), done)
  }
}

class FrozenLevel implements EngineSnapshot {
  readonly inner: LevelSnapshot

  constructor(inner: LevelSnapshot) {
    this.inner = inner
  }

  close(): void {
    void this.inner.close()
  }
}

class LevelBatch implements EngineBatch {
  readonly #batch: ReturnType<Database['batch']>

  constructor(database: Database) {
    this.#batch = database.batch()
  }

  get count(): number {
    return this.#batch.length
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#batch.put(key, value)
  }

  delete(key: Uint8Array): void {
    this.#batch.del(key)
  }

  write(options: { readonly sync: boolean }, done: Completion): void {
    completeVoid(this.#batch.write({ ...{ sync: options.sync } }), done)
  }

  discard(): void {
    void this.#batch.close()
  }
}

class LevelIterator implements EngineIterator {
  readonly #iterator: ReturnType<Database['iterator']>

  constructor(iterator: ReturnType<Database['iterator']>) {
    this.#iterator = iterator
  }

  next(entriesMax: number, done: CompletionWith<readonly EngineEntry[]>): void {
    const entries = this.#iterator
      .nextv(entriesMax)
      .then((pairs) => pairs.map(([key, value]) => ({ key, value }) as EngineEntry))
    complete<readonly EngineEntry[]>(entries, done, [])
  }

  close(): void {
    void this.#iterator.close()
  }
}
