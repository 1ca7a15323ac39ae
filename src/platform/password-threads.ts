/**
 * Passwords hashed by bcrypt on threads of their own, so that heartbeats and other clients do not
 * wait meanwhile. A thread is started when there is work for it and ended when there has been none
 * for a while: most members never check a password.
 */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { CheckOutcome, HashOutcome, PasswordFailure, Passwords } from '../ports/passwords.js'

/** Threads at most; one processor is left to the member. */
export const PASSWORD_THREADS_MAX = 4
/** Passwords that wait for a thread; more are refused. They are worth half a minute of one. */
export const PASSWORDS_WAITING_MAX = 256
/** How long a thread is kept without work, ms. */
export const PASSWORD_THREAD_IDLE_MS = 30_000
/** What bcrypt looks at; Go refuses to hash more. Bytes of UTF-8. */
export const PASSWORD_BYTES_MAX = 72

/** What a thread is asked; it answers with the hash or with whether it is right. */
export type PasswordJob =
  | { readonly kind: 'hash'; readonly password: string; readonly cost: number }
  | { readonly kind: 'check'; readonly password: string; readonly hash: string }

type Result = { readonly kind: 'result'; readonly value: unknown } | PasswordFailure

interface Waiting {
  readonly job: PasswordJob
  readonly done: (result: Result) => void
}

export interface PasswordThreadsOptions {
  /** bcrypt's cost, 4 to 31; each step doubles the time. etcd's v2 API uses 10. */
  readonly cost: number
  /** Default: one less than there are processors, from 1 to PASSWORD_THREADS_MAX. */
  readonly threadsMax?: number
  /** Default PASSWORDS_WAITING_MAX. */
  readonly waitingMax?: number
  /** How long a thread is kept without work, ms. Default PASSWORD_THREAD_IDLE_MS. */
  readonly idleMs?: number
  /** The thread's program. Default: the one that was built beside this module. */
  readonly program?: URL
}

// From the bundle as from the module itself, this is where the compiler put it.
const BUILT_PROGRAM = new URL('../platform/password-worker.js', import.meta.url)

/** One thread: starting and working, or idle until its timer ends it. */
class Thread {
  readonly worker: Worker
  current: Waiting | undefined
  idleTimer: NodeJS.Timeout | undefined

  constructor(program: URL) {
    this.worker = new Worker(program)
  }
}

export class PasswordThreads implements Passwords {
  readonly #cost: number
  readonly #threadsMax: number
  readonly #waitingMax: number
  readonly #idleMs: number
  readonly #program: URL
  readonly #threads = new Set<Thread>()
  readonly #waiting: Waiting[] = []
  #isClosed = false

  constructor(options: PasswordThreadsOptions) {
    const spare = Math.max(1, availableParallelism() - 1)
    this.#cost = options.cost
    this.#threadsMax = options.threadsMax ?? Math.min(PASSWORD_THREADS_MAX, spare)
    this.#waitingMax = options.waitingMax ?? PASSWORDS_WAITING_MAX
    this.#idleMs = options.idleMs ?? PASSWORD_THREAD_IDLE_MS
    this.#program = options.program ?? BUILT_PROGRAM
  }

  /** How many threads there are now. */
  get threadCount(): number {
    return this.#threads.size
  }

  hash(password: string, done: (outcome: HashOutcome) => void): void {
    if (Buffer.byteLength(password) > PASSWORD_BYTES_MAX) {
      setImmediate(done, { kind: 'too-long' })
      return
    }
    this.#ask({ kind: 'hash', password, cost: this.#cost }, (result) =>
      done(result.kind === 'result' ? { kind: 'hash', hash: String(result.value) } : result),
    )
  }

  check(hash: string, password: string, done: (outcome: CheckOutcome) => void): void {
    this.#ask({ kind: 'check', password, hash }, (result) =>
      done(result.kind === 'result' ? { kind: 'checked', isRight: result.value === true } : result),
    )
  }

  /** Ends all threads; who waits is told that it failed. */
  async close(): Promise<void> {
    this.#isClosed = true
    const threads = [...this.#threads]
    const waiting = this.#waiting.splice(0)
    for (const thread of threads) this.#lose(thread, 'closed')
    for (const { done } of waiting) done({ kind: 'failed', reason: 'closed' })
    await Promise.all(threads.map(({ worker }) => worker.terminate()))
  }

  #ask(job: PasswordJob, done: (result: Result) => void): void {
    if (this.#isClosed) setImmediate(done, { kind: 'failed', reason: 'closed' })
    else if (this.#waiting.length >= this.#waitingMax) setImmediate(done, { kind: 'busy' })
    else {
      this.#waiting.push({ job, done })
      this.#advance()
    }
  }

  /** Gives what waits to threads that are idle, or new. */
  #advance(): void {
    while (this.#waiting.length > 0) {
      const idle = [...this.#threads].find(({ current }) => current === undefined)
      if (idle === undefined && this.#threads.size >= this.#threadsMax) return
      const thread = idle ?? this.#start()
      const next = this.#waiting.shift()
      clearTimeout(thread.idleTimer)
      thread.current = next
      thread.worker.postMessage(next?.job)
    }
  }

  #start(): Thread {
    const thread = new Thread(this.#program)
    thread.worker.unref()
    thread.worker.on('message', (value: unknown) => this.#finish(thread, value))
    thread.worker.once('error', (error) => this.#lose(thread, error.message))
    thread.worker.once('exit', (code) => this.#lose(thread, `ended with ${code}`))
    this.#threads.add(thread)
    return thread
  }

  #finish(thread: Thread, value: unknown): void {
    const finished = thread.current
    thread.current = undefined
    this.#advance()
    if (thread.current === undefined) {
      thread.idleTimer = setTimeout(() => {
        this.#threads.delete(thread)
        void thread.worker.terminate()
      }, this.#idleMs).unref()
    }
    finished?.done({ kind: 'result', value })
  }

  /** A thread that ended takes its job with it; the next job gets another thread. */
  #lose(thread: Thread, reason: string): void {
    if (!this.#threads.delete(thread)) return
    clearTimeout(thread.idleTimer)
    const { current } = thread
    thread.current = undefined
    if (!this.#isClosed) this.#advance()
    current?.done({ kind: 'failed', reason })
  }
}
