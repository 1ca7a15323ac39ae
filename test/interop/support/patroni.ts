import { type ChildProcess, execFile, execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder } from './cluster.js'
import { endingOf, spawnLogged } from './member-process.js'
import { freePort } from './ports.js'

export const POSTGRES_BIN = '/usr/lib/postgresql/15/bin'
export const SCOPE = 'batman'
/** Seconds. `LOOP_WAIT_S + 2 * RETRY_TIMEOUT_S` may not be more than the time to live. */
export const LEADER_TTL_S = 15
const LOOP_WAIT_S = 1
const RETRY_TIMEOUT_S = 7
const QUERY_MAX_MS = 10_000
/** Where databases go when their user may not enter the repository. */
const OPEN_BASE = '/var/tmp'
const PASSWORD = 'loopback'

/** PostgreSQL refuses root, so it runs as the user that Debian made for it; without root, as whoever runs the tests. */
const isRoot = process.getuid?.() === 0
const SWITCH_USER = ['/usr/bin/setpriv', '--reuid=postgres', '--regid=postgres', '--init-groups']
const asPostgres = (command: readonly string[]): readonly string[] =>
  isRoot ? [...SWITCH_USER, ...command] : command

function canEnter(folder: string): boolean {
  const [program = '', ...words] = asPostgres(['/usr/bin/test', '-x', folder])
  try {
    execFileSync(program, words)
    return true
  } catch {
    return false
  }
}

/** A folder of the user `postgres`. */
export function postgresFolder(): string {
  const own = temporaryFolder('patroni')
  chmodSync(own, 0o755)
  const folder = canEnter(own) ? own : mkdtempSync(join(OPEN_BASE, 'patroni-'))
  if (isRoot) {
    const id = (flag: string): number =>
      Number(execFileSync('/usr/bin/id', [flag, 'postgres']).toString())
    chownSync(folder, id('-u'), id('-g'))
  }
  return folder
}

/** What a run of psql left behind. */
export interface Answer {
  readonly isOk: boolean
  readonly stdout: string
  readonly stderr: string
}

/** Runs one statement on the first of `ports` that fits `target`; an answer that takes too long counts as none. */
export function sql(
  ports: readonly number[],
  statement: string,
  target: 'any' | 'read-write' = 'any',
): Promise<Answer> {
  const url = new URL(`postgres://postgres:${PASSWORD}@host/postgres`)
  url.searchParams.set('connect_timeout', '3')
  url.searchParams.set('target_session_attrs', target)
  const hosts = ports.map((port) => `127.0.0.1:${port}`).join(',')
  const words = [url.href.replace('@host', `@${hosts}`), '-AtqX', '-c', statement]
  return new Promise((resolve) => {
    const options = { timeout: QUERY_MAX_MS, killSignal: 'SIGKILL' } as const
    execFile(join(POSTGRES_BIN, 'psql'), words, options, (error, stdout, stderr) =>
      resolve({ isOk: error === null, stdout: stdout.trim(), stderr }),
    )
  })
}

/** What Patroni's own page tells, as far as it is looked at. */
export interface PatroniState {
  readonly state?: string
  readonly role?: string
  readonly timeline?: number
}

/** One Patroni with the PostgreSQL that it looks after. */
export class PatroniMember {
  readonly name: string
  readonly port: number
  readonly #restPort: number
  readonly #folder: string
  #child: ChildProcess | undefined

  private constructor(name: string, folder: string, port: number, restPort: number) {
    this.name = name
    this.port = port
    this.#restPort = restPort
    this.#folder = folder
  }

  /** Writes the settings of a member, which keeps its leader key in the v2 API of these hosts. */
  static async create(
    options: Readonly<{ name: string; folder: string; etcdHosts: readonly string[] }>,
  ): Promise<PatroniMember> {
    const { name, folder, etcdHosts } = options
    const member = new PatroniMember(name, folder, await freePort(), await freePort())
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, `${name}.yml`), JSON.stringify(member.#settings(etcdHosts)))
    return member
  }

  get #dataDir(): string {
    return join(this.#folder, this.name)
  }

  #settings(hosts: readonly string[]): object {
    const listen = (port: number): object => ({
      listen: `127.0.0.1:${port}`,
      connect_address: `127.0.0.1:${port}`,
    })
    const trusted = ['host all all 127.0.0.1/32 trust', 'host replication all 127.0.0.1/32 trust']
    return {
      scope: SCOPE,
      name: this.name,
      restapi: listen(this.#restPort),
      etcd: { hosts },
      bootstrap: {
        dcs: {
          ttl: LEADER_TTL_S,
          loop_wait: LOOP_WAIT_S,
          retry_timeout: RETRY_TIMEOUT_S,
          synchronous_mode: true,
          postgresql: { use_pg_rewind: true, use_slots: true },
        },
        initdb: [{ encoding: 'UTF8' }, { locale: 'C' }, 'data-checksums'],
        pg_hba: trusted,
      },
      postgresql: {
        ...listen(this.port),
        data_dir: this.#dataDir,
        bin_dir: POSTGRES_BIN,
        pgpass: join(this.#folder, `${this.name}.pgpass`),
        pg_hba: trusted,
        authentication: {
          superuser: { username: 'postgres', password: PASSWORD },
          replication: { username: 'replicator', password: PASSWORD },
        },
        parameters: { unix_socket_directories: '', shared_buffers: '16MB', max_connections: 50 },
      },
      tags: {},
    }
  }

  start(): void {
    this.#child = spawnLogged(
      asPostgres(['/usr/bin/patroni', join(this.#folder, `${this.name}.yml`)]),
      { log: join(this.#folder, `${this.name}.log`), cwd: this.#folder },
    )
  }

  /** What this Patroni says of itself; throws when it does not answer. */
  async state(): Promise<PatroniState> {
    const response = await fetch(`http://127.0.0.1:${this.#restPort}/patroni`)
    return (await response.json()) as PatroniState
  }

  /** Whether a page of Patroni answers "yes, that is what I am". */
  async is(page: 'primary' | 'sync'): Promise<boolean> {
    return (await fetch(`http://127.0.0.1:${this.#restPort}/${page}`)).status === 200
  }

  /** Hands the leadership over in order; resolves with what Patroni said of it. */
  async switchover(to: PatroniMember): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.#restPort}/switchover`, {
      method: 'POST',
      body: JSON.stringify({ leader: this.name, candidate: to.name }),
    })
    return response.text()
  }

  #postmaster(): number | undefined {
    try {
      return Number(readFileSync(join(this.#dataDir, 'postmaster.pid'), 'utf8').split('\n', 1)[0])
    } catch {
      return undefined
    }
  }

  /** SIGKILL for Patroni first, so that it does not start its PostgreSQL again, and for that then. */
  async kill(): Promise<void> {
    const child = this.#child
    if (child === undefined) return
    child.kill('SIGKILL')
    await endingOf(child)
    const postmaster = this.#postmaster()
    if (postmaster === undefined) return
    try {
      process.kill(postmaster, 'SIGKILL')
    } catch {
      // It has ended with its file left behind.
    }
  }

  log(bytes = 4000): string {
    return readFileSync(join(this.#folder, `${this.name}.log`), 'utf8').slice(-bytes)
  }
}
