import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type EtcdctlOptions, etcdctl, mustEtcdctl, type Output } from './etcdctl.js'
import { type MemberKind, type MemberOptions, MemberProcess, ROOT } from './member-process.js'
import { freePort } from './ports.js'
import { until } from './until.js'

/** One row of `endpoint status`. */
export interface Status {
  readonly endpoint: string
  readonly memberId: bigint
  readonly leader: bigint
  readonly revision: number
  readonly raftTerm: number
  readonly version: string
}

/** One row of `member list`. */
export interface ListedMember {
  readonly id: string
  readonly isStarted: boolean
  readonly name: string
  readonly isLearner: boolean
}

type Flags = readonly string[]
/** Changes how a member is to be started, before it is for the first time. */
export type Adapt = (options: MemberOptions) => Promise<MemberOptions>
type Rest = Omit<EtcdctlOptions, 'endpoints' | 'args'> & Readonly<{ at?: MemberProcess }>

/** A folder of its own under .tmp/interop. */
export function temporaryFolder(name: string): string {
  const base = join(ROOT, '.tmp/interop')
  mkdirSync(base, { recursive: true })
  return mkdtempSync(join(base, `${name}-`))
}

/**
 * Asks again until it is done. What timed out, as without a leader, may be done all the same: then, and only then,
 * `alreadyDone` is as good as a success.
 */
async function changeMembers(options: EtcdctlOptions, alreadyDone: string): Promise<void> {
  let isAskedBefore = false
  await until(options.args.join(' '), async () => {
    try {
      await mustEtcdctl(options)
    } catch (error) {
      const isDone = isAskedBefore && String(error).includes(alreadyDone)
      isAskedBefore ||= /timed out|deadline exceeded/.test(String(error))
      if (!isDone) throw error
    }
    return true
  })
}

/**
 * Members as child processes on free ports of 127.0.0.1, of either kind or both.
 * `flags` go to every member.
 */
export class Cluster {
  readonly folder: string
  readonly members: MemberProcess[] = []
  readonly #flags: Flags
  readonly #token: string
  readonly #scheme: 'http' | 'https'
  /** Refuse most calls, so a client is not pointed at them unless a test does. */
  readonly #learners = new Set<MemberProcess>()
  readonly #adapt: Adapt
  #named = 0

  constructor(
    options: Readonly<{ name: string; flags?: Flags; scheme?: 'http' | 'https'; adapt?: Adapt }>,
  ) {
    this.#adapt = options.adapt ?? (async (planned) => planned)
    this.#scheme = options.scheme ?? 'http'
    this.folder = temporaryFolder(options.name)
    this.#flags = options.flags ?? []
    this.#token = options.name
  }

  /** A new cluster of these kinds, started, healthy, and of a version. */
  static async start(
    options: Readonly<{
      name: string
      kinds: readonly MemberKind[]
      flags?: Flags
      adapt?: Adapt
    }>,
  ): Promise<Cluster> {
    const cluster = new Cluster(options)
    try {
      await cluster.startAll(options.kinds)
      await cluster.healthy()
      await cluster.versioned()
    } catch (error) {
      const logs = cluster.logs()
      await cluster.destroy()
      throw new Error(`${error instanceof Error ? error.message : String(error)}\n${logs}`)
    }
    return cluster
  }

  /** Starts a new cluster of these kinds without waiting for it. */
  async startAll(kinds: readonly MemberKind[]): Promise<void> {
    for (const kind of kinds) await this.#plan(kind)
    const initial = this.initialCluster()
    for (const member of this.members) member.start(this.#startFlags(initial, 'new'))
  }

  async #plan(kind: MemberKind): Promise<MemberProcess> {
    this.#named += 1
    const name = `${kind}${this.#named}`
    const folder = join(this.folder, name)
    mkdirSync(folder)
    const options = await this.#adapt({
      kind,
      name,
      folder,
      clientUrl: `${this.#scheme}://127.0.0.1:${await freePort()}`,
      peerUrl: `${this.#scheme}://127.0.0.1:${await freePort()}`,
      flags: [],
    })
    const member = new MemberProcess(options)
    this.members.push(member)
    return member
  }

  initialCluster(): string {
    return this.members.map(({ name, options }) => `${name}=${options.peerUrl}`).join(',')
  }

  #startFlags(initial: string, state: 'new' | 'existing'): Flags {
    return [
      ...['--initial-cluster', initial, '--initial-cluster-state', state],
      ...['--initial-cluster-token', this.#token, ...this.#flags],
    ]
  }

  /** Flags with which a removed and wiped member joins again. */
  joinFlags(): Flags {
    return this.#startFlags(this.initialCluster(), 'existing')
  }

  /** Of the running voters. */
  get endpoints(): readonly string[] {
    return this.members
      .filter((member) => member.isRunning && !this.#learners.has(member))
      .map(({ clientUrl }) => clientUrl)
  }

  member(name: string): MemberProcess {
    const found = this.members.find((member) => member.name === name)
    if (found === undefined) throw new Error(`no member ${name}`)
    return found
  }

  /** etcdctl on all running members, or on `at`; a failure throws. */
  ctl(args: readonly string[], rest: Rest = {}): Promise<string> {
    return mustEtcdctl({ ...rest, endpoints: this.#endpointsOf(rest), args })
  }

  /** etcdctl on all running members, or on `at`, whatever comes of it. */
  tryCtl(args: readonly string[], rest: Rest = {}): Promise<Output> {
    return etcdctl({ ...rest, endpoints: this.#endpointsOf(rest), args })
  }

  #endpointsOf({ at }: Rest): readonly string[] {
    return at === undefined ? this.endpoints : [at.clientUrl]
  }

  /** Resolves when every member that is not down by our doing commits. Throws at once when one ended by itself. */
  async healthy(withinMs = 30_000): Promise<void> {
    const wanted = this.members.filter((member) => member.isWanted && !this.#learners.has(member))
    const ended = await until(
      'every member healthy',
      async () => {
        const crashed = wanted.find(({ isRunning }) => !isRunning)
        if (crashed !== undefined) return crashed.name
        for (const { name, clientUrl } of wanted) {
          const response = await fetch(`${clientUrl}/health`)
          const text = await response.text()
          if (!response.ok) throw new Error(`${name}: ${text}`)
        }
        return 'none'
      },
      withinMs,
    )
    if (ended !== 'none')
      throw new Error(`${ended} ended by itself\n${this.member(ended).log(4000)}`)
  }

  /**
   * Resolves when every running member knows the cluster's version. It comes with an entry of its
   * own some time after the start: users of the v2 API are refused before, and later it would move
   * the v2 index in the middle of a test.
   */
  async versioned(): Promise<void> {
    for (const { name, clientUrl, isRunning } of this.members) {
      if (!isRunning) continue
      await until(`${name} knows the version of the cluster`, async () => {
        const { etcdcluster } = (await (await fetch(`${clientUrl}/version`)).json()) as {
          etcdcluster?: string
        }
        return etcdcluster !== undefined && etcdcluster !== 'not_decided'
      })
    }
  }

  async status(): Promise<readonly Status[]> {
    const text = await this.ctl(['endpoint', 'status', '-w', 'fields'])
    return text.split('\n\n').flatMap((block) => {
      const field = (name: string): string =>
        new RegExp(`^"${name}" : "?([^"\n]*)`, 'm').exec(block)?.[1] ?? ''
      if (block.trim() === '') return []
      return {
        endpoint: field('Endpoint'),
        memberId: BigInt(field('MemberID')),
        leader: BigInt(field('Leader')),
        revision: Number(field('Revision')),
        raftTerm: Number(field('RaftTerm')),
        version: field('Version'),
      }
    })
  }

  async memberList(): Promise<readonly ListedMember[]> {
    const text = await this.ctl(['member', 'list'])
    return text.split('\n').map((line) => {
      const [id = '', state, name = '', , , learner] = line.split(', ')
      return { id, isStarted: state === 'started', name, isLearner: learner === 'true' }
    })
  }

  async idOf(member: MemberProcess): Promise<string> {
    const list = await this.memberList()
    const found = list.find(({ name }) => name === member.name)
    if (found === undefined) throw new Error(`${member.name} is not listed`)
    return found.id
  }

  /** The member whose id all running members name as leader; waits for one. */
  leader(): Promise<MemberProcess> {
    return until('a leader that all agree on', async () => {
      const rows = await this.status()
      const own = rows.find(({ memberId, leader }) => memberId === leader)
      if (own === undefined || rows.some(({ leader }) => leader !== own.leader)) return undefined
      return this.members.find(({ clientUrl }) => clientUrl === own.endpoint)
    })
  }

  async moveLeader(to: MemberProcess): Promise<void> {
    const from = await this.leader()
    if (from === to) return
    await this.ctl(['move-leader', await this.idOf(to)])
    await until(`${to.name} leads`, async () => (await this.leader()) === to)
  }

  /** `member add`, then the process; resolves when it serves. Learners serve only a few calls, so they are not awaited. */
  async add(
    kind: MemberKind,
    options: Readonly<{ isLearner?: boolean }> = {},
  ): Promise<MemberProcess> {
    const running = this.endpoints
    const member = await this.#plan(kind)
    const { name } = member
    const { peerUrl } = member.options
    const learner = options.isLearner === true ? ['--learner'] : []
    await this.announce(name, peerUrl, { endpoints: running, flags: learner })
    member.start(this.joinFlags())
    if (options.isLearner !== true) await this.healthy()
    else this.#learners.add(member)
    return member
  }

  /** Makes a learner a voter, as soon as it is in sync, and waits until it serves. */
  async promote(member: MemberProcess): Promise<string> {
    const id = await until('the learner has published its name', () => this.idOf(member))
    const said = await until('promoted', () => this.ctl(['member', 'promote', id]))
    this.#learners.delete(member)
    await this.healthy()
    return said
  }

  async remove(member: MemberProcess): Promise<void> {
    const id = await this.idOf(member)
    const rest = this.endpoints.filter((endpoint) => endpoint !== member.clientUrl)
    await this.strike(id, rest)
    this.members.splice(this.members.indexOf(member), 1)
    await member.kill()
  }

  /** `member add`, until it is there. */
  announce(
    name: string,
    peerUrl: string,
    options: Readonly<{ endpoints?: readonly string[]; flags?: Flags }> = {},
  ): Promise<void> {
    const { endpoints = this.endpoints, flags = [] } = options
    const args = ['member', 'add', name, '--peer-urls', peerUrl, ...flags]
    return changeMembers({ endpoints, args }, 'Peer URLs already exists')
  }

  /** `member remove`, until it is gone. */
  strike(id: string, endpoints = this.endpoints): Promise<void> {
    return changeMembers({ endpoints, args: ['member', 'remove', id] }, 'member not found')
  }

  /** HashKV of every running member at one revision, once all have reached it: one value when they agree. */
  async hashes(): Promise<ReadonlySet<string>> {
    const rows = await this.status()
    const revision = Math.max(...rows.map((row) => row.revision))
    await until('every member at the revision', async () =>
      (await this.status()).every((row) => row.revision >= revision),
    )
    const text = await this.ctl(['endpoint', 'hashkv', '--rev', String(revision)])
    return new Set(text.split('\n').map((line) => line.split(', ')[1] ?? line))
  }

  logs(bytes = 4000): string {
    return this.members
      .map(
        (member) => `--- ${member.name}: ${member.commandLine().join(' ')}\n${member.log(bytes)}`,
      )
      .join('\n')
  }

  /** Kills every member and removes the folder. */
  async destroy(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()))
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
  }
}
