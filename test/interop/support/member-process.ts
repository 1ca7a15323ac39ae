import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
/** The machine's etcd, 3.4; INTEROP_ETCD puts another in its place, to hold the whole suite against that version. */
export const ETCD = process.env.INTEROP_ETCD ?? '/usr/bin/etcd'
export const DAEMON_BUILT = join(ROOT, 'dist/bundle/etcd.cjs')

/**
 * The command that starts a member of ours. INTEROP_OURS puts another program in its place: with
 * `INTEROP_OURS=/usr/bin/etcd` the suite runs on the real thing alone, which is how its expectations are checked.
 */
export const OURS: readonly [string, ...string[]] =
  process.env.INTEROP_OURS === undefined
    ? [process.execPath, join(ROOT, 'bin/etcd')]
    : [process.env.INTEROP_OURS]

/** Where a program lies on the path; '' when it is not there. */
function onPath(name: string): string {
  const folders = (process.env.PATH ?? '').split(':')
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? ''
}

/** What tools/etcd-3.5.sh builds; '' where it was not run. */
export const ETCD_35 = onPath('etcd-3.5')
export const ETCDCTL_35 = onPath('etcdctl-3.5')
export const ETCDUTL_35 = onPath('etcdutl-3.5')

/** What tools/etcd-2.3.sh builds; '' where it was not run. */
export const ETCD_23 = onPath('etcd-2.3')
export const ETCDCTL_23 = onPath('etcdctl-2.3')

/** Whose program a member runs: the machine's etcd, one of version 3.5 or 2.3, or ours. */
export type MemberKind = 'etcd' | 'etcd-3.5' | 'etcd-2.3' | 'ours'

const programs: Readonly<Record<MemberKind, readonly string[]>> = {
  etcd: [ETCD],
  'etcd-3.5': [ETCD_35],
  'etcd-2.3': [ETCD_23],
  ours: OURS,
}

/** The command, without flags, that starts a member of this kind. */
export const programOf = (kind: MemberKind): readonly string[] => programs[kind]

/** How a process ended: its exit code, or the signal that ended it. */
export interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface MemberOptions {
  readonly kind: MemberKind
  readonly name: string
  /** Folder of this member; its data goes to `data` inside and its output to `log`. */
  readonly folder: string
  readonly clientUrl: string
  readonly peerUrl: string
  /** Where it listens for peers, when `peerUrl`, which it advertises, leads there through something else. */
  readonly listenPeerUrl?: string
  /** Everything on the command line besides name, data-dir and the four URL flags. */
  readonly flags: readonly string[]
  /** Beside PATH and HOME. */
  readonly environment?: Readonly<Record<string, string>>
  /** A command that runs the program in other surroundings, such as `env NAME=value`. */
  readonly within?: readonly string[]
}

const alive = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL')
})

/**
 * Starts a program whose output goes to a file, and which does not outlive this process. With `isGroup` it leads a
 * process group of its own, as a program started in a terminal does.
 */
export function spawnLogged(
  command: readonly string[],
  options: Readonly<{
    log: string
    cwd: string
    isGroup?: boolean
    environment?: Readonly<Record<string, string>>
  }>,
): ChildProcess {
  const [program = '', ...args] = command
  mkdirSync(dirname(options.log), { recursive: true })
  const output = openSync(options.log, 'a')
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: { PATH: process.env.PATH ?? '', HOME: options.cwd, ...options.environment },
    detached: options.isGroup === true,
    stdio: ['ignore', output, output],
  })
  closeSync(output)
  alive.add(child)
  child.once('exit', () => alive.delete(child))
  child.once('error', () => alive.delete(child))
  return child
}

/** The end of a process that was started; at once when it has ended already. */
export function endingOf(child: ChildProcess): Promise<Ending> {
  const now = (): Ending => ({ code: child.exitCode, signal: child.signalCode })
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(now())
  return new Promise((resolve) => child.once('exit', () => resolve(now())))
}

/** One member as a child process: started, stopped, killed, paused, and started again with the same flags. */
export class MemberProcess {
  readonly options: MemberOptions
  readonly logFile: string
  #child: ChildProcess | undefined
  /** Flags of the next start in place of the first ones (`--initial-cluster-state existing` after a re-add). */
  #flags: readonly string[]
  #isWanted = false

  constructor(options: MemberOptions) {
    this.options = options
    this.logFile = join(options.folder, 'log')
    this.#flags = options.flags
  }

  get name(): string {
    return this.options.name
  }

  get clientUrl(): string {
    return this.options.clientUrl
  }

  get dataDir(): string {
    return join(this.options.folder, 'data')
  }

  get isRunning(): boolean {
    const child = this.#child
    return child !== undefined && child.exitCode === null && child.signalCode === null
  }

  /** Was started and not ended by us: when it does not run, it ended by itself. */
  get isWanted(): boolean {
    return this.#isWanted
  }

  get pid(): number | undefined {
    return this.isRunning ? this.#child?.pid : undefined
  }

  commandLine(): readonly string[] {
    const { kind, name, clientUrl, peerUrl, listenPeerUrl = peerUrl } = this.options
    return [
      ...(this.options.within ?? []),
      ...programOf(kind),
      ...['--name', name, '--data-dir', this.dataDir],
      ...['--listen-client-urls', clientUrl, '--advertise-client-urls', clientUrl],
      ...['--listen-peer-urls', listenPeerUrl, '--initial-advertise-peer-urls', peerUrl],
      ...this.#flags,
    ]
  }

  /** `environment` is for this start alone. */
  start(flags?: readonly string[], environment: Readonly<Record<string, string>> = {}): void {
    if (this.isRunning) throw new Error(`${this.name} runs already`)
    if (flags !== undefined) this.#flags = flags
    this.#isWanted = true
    this.#child = spawnLogged(this.commandLine(), {
      log: this.logFile,
      cwd: this.options.folder,
      environment: { ...this.options.environment, ...environment },
    })
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal)
  }

  /** Resolves when the process has ended, by itself or otherwise. */
  ended(): Promise<Ending> {
    const child = this.#child
    if (child === undefined) throw new Error(`${this.name} was never started`)
    return endingOf(child)
  }

  /** SIGKILL: nothing is flushed, nobody is told. */
  async kill(): Promise<void> {
    this.#isWanted = false
    if (!this.isRunning) return
    this.signal('SIGKILL')
    await this.ended()
  }

  /** SIGTERM, and SIGKILL when it has not ended after 15 s. */
  async stop(): Promise<Ending> {
    this.#isWanted = false
    const ended = this.ended()
    this.signal('SIGCONT')
    this.signal('SIGTERM')
    const timer = setTimeout(() => this.signal('SIGKILL'), 15_000)
    try {
      return await ended
    } finally {
      clearTimeout(timer)
    }
  }

  async restart(): Promise<void> {
    await this.kill()
    this.start()
  }

  /** Removes the data directory of a member that is down. */
  wipe(): void {
    if (this.isRunning) throw new Error(`${this.name} must be down to be wiped`)
    rmSync(this.dataDir, { recursive: true, force: true })
  }

  /** The last `bytes` bytes of its output. */
  log(bytes = 1_000_000): string {
    try {
      return readFileSync(this.logFile, 'utf8').slice(-bytes)
    } catch {
      return ''
    }
  }
}
