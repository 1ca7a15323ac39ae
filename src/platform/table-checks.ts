import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { checkTableContent, type TableFile } from './level-check.js'

export type TableCheckNews =
  | { readonly kind: 'holding' }
  | { readonly kind: 'checked'; readonly damage: string | undefined }

/** So little is verified at once: a thread would take longer to start. Bytes. */
const INLINE_BYTES_MAX = 16 * 1024 * 1024
/** A thread holds all tables open; a store of more is verified before it is opened. */
const HELD_TABLES_MAX = 512

const BUILT_PROGRAM = new URL('../platform/level-check-worker.js', import.meta.url)

/**
 * Verifies the content of a store's tables beside its opening: reading a large store twice takes as
 * long as all the rest of a start. What is found is written down, because LevelDB may write the
 * damaged content anew meanwhile, with a checksum that is right.
 */
export class TableChecks {
  readonly #mark: string
  readonly #program: URL
  readonly #inlineBytesMax: number
  #running: Promise<void> = Promise.resolve()
  #isOver = false

  constructor(
    options: Readonly<{
      /** File that says what was found; while it is there nothing is opened. */
      mark: string
      /** The thread's program. Default: the one that was built beside this module. */
      program?: URL
      /** Default INLINE_BYTES_MAX. */
      inlineBytesMax?: number
    }>,
  ) {
    this.#mark = options.mark
    this.#program = options.program ?? BUILT_PROGRAM
    this.#inlineBytesMax = options.inlineBytesMax ?? INLINE_BYTES_MAX
  }

  /** Resolves as soon as the tables may be touched; rejects with damage that is known by then. */
  async begin(tables: readonly TableFile[]): Promise<void> {
    if (existsSync(this.#mark)) throw new Error(readFileSync(this.#mark, 'utf8').trim())
    // A store that was received a moment ago was written by this process.
    if (this.#isOver || tables.length === 0) return
    const bytes = tables.reduce((sum, table) => sum + table.bytes, 0)
    if (bytes > this.#inlineBytesMax && tables.length <= HELD_TABLES_MAX) {
      await this.#beginThread(tables.map(({ path }) => path))
      return
    }
    for (const { path } of tables) {
      const file = openSync(path, 'r')
      const damage = checkTableContent(path, file)
      closeSync(file)
      if (damage !== undefined) throw damage
    }
  }

  #beginThread(paths: readonly string[]): Promise<void> {
    const worker = new Worker(this.#program, { workerData: paths })
    return new Promise((begun, notBegun) => {
      const checked = new Promise<void>((resolve, reject) => {
        worker.on('message', (news: TableCheckNews) => {
          if (news.kind === 'holding') begun()
          else if (news.damage === undefined) resolve()
          else {
            writeFileSync(this.#mark, `${news.damage}\n`, { flush: true })
            reject(new Error(news.damage))
          }
        })
        const fail = (error: Error): void => {
          notBegun(error)
          reject(error)
        }
        worker.once('error', fail)
        // Behind the result this changes nothing.
        worker.once('exit', (code) => fail(new Error(`the check of the store ended with ${code}`)))
      })
      // Whoever waits for the end hears of it; nobody may.
      checked.catch(() => undefined)
      this.#running = checked
    })
  }

  /** Resolves when everything is verified; rejects with what was found. */
  async finish(): Promise<void> {
    this.#isOver = true
    await this.#running
  }
}
