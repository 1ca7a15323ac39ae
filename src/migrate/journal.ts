import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import type { Change, Copied } from './batches.js'

/** Whom a state file belongs to; another migration must not go on from it. */
export interface Identity {
  readonly fromCluster: string
  readonly toCluster: string
  readonly prefix: string
  readonly strip: boolean
}

/** Keys of a transaction with their index; `null` = deleted. */
type Announced = readonly (readonly [key: string, index: number | null])[]
type Line =
  /** Before a transaction: these keys may be in the target from now on. */
  | Readonly<{ begin: Announced }>
  /** After it: the transaction that began last has this revision. */
  | Readonly<{ done: number }>
  | Readonly<{ copied: readonly [key: string, index: number, revision: number | null] }>

const VERSION = 1
/** The file is written anew when it has this many changes, and twice as many as keys. */
const REWRITE_CHANGES_MIN = 10_000

/**
 * What was copied, in memory and, with a path, in a file of JSON lines that survives `kill -9`:
 * each transaction is announced before and confirmed after, and both are synced. A torn last line
 * is a transaction that was not announced or not confirmed.
 */
export class Journal {
  readonly #path: string | undefined
  readonly #identity: Identity
  readonly #copied = new Map<string, Copied>()
  #file: number | undefined
  #changes = 0

  /** Reads the file when it is there; throws when it belongs to another migration. */
  constructor(path: string | undefined, identity: Identity) {
    this.#path = path
    this.#identity = identity
    if (path === undefined) return
    this.#read(path)
    this.#rewrite(path)
  }

  get copied(): ReadonlyMap<string, Copied> {
    return this.#copied
  }

  /** Announces a transaction. */
  begin(batch: readonly Change[]): void {
    const keys = batch.map((change) =>
      change.kind === 'put'
        ? ([change.item.key, change.item.index] as const)
        : ([change.key, null] as const),
    )
    this.#append({ begin: keys })
    for (const [key, index] of keys) {
      if (index !== null) this.#copied.set(key, { index, revision: undefined })
    }
  }

  /** Confirms the transaction that was announced last. */
  done(batch: readonly Change[], revision: number): void {
    this.#append({ done: revision })
    for (const change of batch) {
      if (change.kind === 'delete') this.#copied.delete(change.key)
      else this.#copied.set(change.item.key, { index: change.item.index, revision })
    }
    this.#changes += batch.length
    const isLong = this.#changes > Math.max(REWRITE_CHANGES_MIN, 2 * this.#copied.size)
    if (isLong && this.#path !== undefined) this.#rewrite(this.#path)
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file)
    this.#file = undefined
  }

  #append(line: Line): void {
    if (this.#file === undefined) return
    writeSync(this.#file, `${JSON.stringify(line)}\n`)
    fsyncSync(this.#file)
  }

  #read(path: string): void {
    let text: string
    try {
      text = readFileSync(path, 'utf8')
    } catch (thrown) {
      if ((thrown as { code?: unknown }).code === 'ENOENT') return
      throw thrown
    }
    // What follows the last end of line was cut off by a crash.
    const [head = '', ...lines] = text.slice(0, text.lastIndexOf('\n') + 1).split('\n')
    if (head !== this.#head()) {
      throw new Error(`${path} is the state of another migration: ${head.slice(0, 200)}`)
    }
    let open: Announced = []
    for (const text of lines) {
      if (text === '') continue
      const line = JSON.parse(text) as Line
      if ('copied' in line) {
        const [key, index, revision] = line.copied
        this.#copied.set(key, { index, revision: revision ?? undefined })
      } else if ('begin' in line) {
        open = line.begin
        for (const [key, index] of open) {
          if (index !== null) this.#copied.set(key, { index, revision: undefined })
        }
      } else {
        for (const [key, index] of open) {
          if (index === null) this.#copied.delete(key)
          else this.#copied.set(key, { index, revision: line.done })
        }
      }
    }
  }

  #head(): string {
    return JSON.stringify({ version: VERSION, ...this.#identity })
  }

  /**
   * Writes what is known into a new file, which takes the place of the old one when it is whole.
   */
  #rewrite(path: string): void {
    this.close()
    const lines = [this.#head()]
    for (const [key, { index, revision }] of this.#copied) {
      lines.push(JSON.stringify({ copied: [key, index, revision ?? null] }))
    }
    const fresh = `${path}.new`
    writeFileSync(fresh, `${lines.join('\n')}\n`, { mode: 0o600, flush: true })
    renameSync(fresh, path)
    this.#file = openSync(path, 'a')
    this.#changes = 0
  }
}
