import { type PatroniMember, SCOPE, sql } from './patroni.js'
import { pause } from './until.js'

/** A change of the leader key, in the order of the cluster. */
export interface KeyEvent {
  readonly action: string
  readonly value?: string
  /** The end of the time to live that the key had before, ms since 1970. */
  readonly endedAtMs?: number
  /** When this process heard of it, ms since 1970. */
  readonly heardAtMs: number
}

interface V2Event {
  readonly action: string
  readonly node: Readonly<{ value?: string; modifiedIndex: number }>
  readonly prevNode?: Readonly<{ expiration?: string }>
}

const KEY = `/v2/keys/service/${SCOPE}/leader`
const PAUSE_MS = 100
/** A wait is asked anew after this time: a member that is killed may leave it hanging. */
const WAIT_MAX_MS = 30_000

/** Things that go on beside a test, each until `stop()`. */
abstract class Witness {
  #isOver = false
  #done: Promise<void> = Promise.resolve()

  protected abstract round(): Promise<void>

  start(): void {
    const loop = async (): Promise<void> => {
      while (!this.#isOver) await this.round()
    }
    this.#done = loop()
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await this.#done
  }
}

/** Follows the leader key through whichever member answers, without a gap. */
export class LeaderKeyWitness extends Witness {
  readonly events: KeyEvent[] = []
  readonly #urls: readonly string[]
  readonly #abort = new AbortController()
  #next: number
  #turn = 0

  private constructor(urls: readonly string[], next: number) {
    super()
    this.#urls = urls
    this.#next = next
  }

  /** Begins with what comes after now. */
  static async create(urls: readonly string[]): Promise<LeaderKeyWitness> {
    const { headers } = await fetch(`${urls[0]}${KEY}`)
    return new LeaderKeyWitness(urls, Number(headers.get('X-Etcd-Index')) + 1)
  }

  protected override async round(): Promise<void> {
    const url = this.#urls[this.#turn % this.#urls.length] ?? ''
    try {
      const signal = AbortSignal.any([AbortSignal.timeout(WAIT_MAX_MS), this.#abort.signal])
      const response = await fetch(`${url}${KEY}?wait=true&waitIndex=${this.#next}`, { signal })
      const { action, node, prevNode } = (await response.json()) as V2Event
      this.#next = node.modifiedIndex + 1
      this.events.push({
        action,
        heardAtMs: Date.now(),
        ...(node.value === undefined ? {} : { value: node.value }),
        ...(prevNode?.expiration === undefined
          ? {}
          : { endedAtMs: Date.parse(prevNode.expiration) }),
      })
    } catch {
      this.#turn += 1
      await pause(PAUSE_MS)
    }
  }

  override async stop(): Promise<void> {
    this.#abort.abort()
    await super.stop()
  }

  /** When the key went, since an earlier count of events. */
  losses(since: number): readonly KeyEvent[] {
    return this.events
      .slice(since)
      .filter(({ action }) => ['expire', 'delete', 'compareAndDelete'].includes(action))
  }
}

/** Looks for two PostgreSQL that both take writes at one moment. */
export class SplitBrainWitness extends Witness {
  readonly #members: readonly [PatroniMember, PatroniMember]
  looks = 0
  /** What was seen when both were primaries. */
  readonly found: string[] = []

  constructor(members: readonly [PatroniMember, PatroniMember]) {
    super()
    this.#members = members
  }

  protected override async round(): Promise<void> {
    const [first, second] = this.#members
    const state = async ({ port }: PatroniMember): Promise<string> => {
      const statement = 'select pg_is_in_recovery(), pg_postmaster_start_time()'
      return (await sql([port], statement)).stdout
    }
    const takesWrites = (said: string): boolean => said.startsWith('f|')
    // The first is asked before and after the second: what it said twice was so in between.
    const before = await state(first)
    const other = takesWrites(before) ? await state(second) : ''
    if (takesWrites(other) && (await state(first)) === before) {
      this.found.push(`${first.name} ${before}, ${second.name} ${other}`)
    }
    this.looks += 1
    await pause(PAUSE_MS)
  }
}

/** Inserts one row after the other, and keeps in mind which were acknowledged. */
export class RowWitness extends Witness {
  readonly #ports: readonly number[]
  readonly acknowledged: number[] = []
  tried = 0

  constructor(members: readonly PatroniMember[]) {
    super()
    this.#ports = members.map(({ port }) => port)
  }

  protected override async round(): Promise<void> {
    const row = this.tried
    this.tried += 1
    const { isOk, stderr } = await sql(
      this.#ports,
      `insert into witness values (${row})`,
      'read-write',
    )
    // A warning says that the row is not at the standby: then it was committed, but never promised.
    if (isOk && stderr === '') this.acknowledged.push(row)
    await pause(PAUSE_MS)
  }
}
