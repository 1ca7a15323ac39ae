import type { ApplyOutcome } from '../../../src/apply/outcome.js'
import type { Member } from '../../../src/member/member.js'
import type { V2Result } from '../../../src/v2store/operations.js'
import { V2Request } from '../../../src/wire/v2-request.js'
import type { ClientOutcome, V2Operation } from '../history.js'
import { V2_WORK } from '../linearizability/v2-model.js'
import type { SimulatedNode } from '../node.js'
import type { Prng } from '../world/prng.js'
import type { ClientContext } from './client.js'

/** How long a client waits for an answer, microseconds. */
const PATIENCE_US = 3_000_000
/** One way between client and member, mean microseconds. */
const CLIENT_DELAY_US = 200
/** Chance that a run's clients give keys an end at all, and then that one is given, per mille. */
const ENDS_PER_MILLE = 300

const MARKS_PER_CLIENT = 1_000_000
const CLIENTS_MAX = 10

type Drawn = Pick<V2Request, 'Method' | 'Val' | 'PrevValue' | 'PrevExist'>

/** A client of the v2 API: it sets, compares and reads few keys, beside those of v3. */
export class V2Client {
  readonly #id: number
  readonly #context: ClientContext
  readonly #prng: Prng
  readonly #givesEnds: boolean
  #count = 0
  #isStopped = false
  #isBusy = false
  /** How often it was told to go on: what an earlier round put off does not happen. */
  #round = 0
  /** What each key was last seen to have. */
  readonly #seen = new Map<string, string>()

  constructor(id: number, context: ClientContext) {
    this.#id = id
    this.#context = context
    this.#prng = context.world.prng.fork(`v2-client/${id}`)
    this.#givesEnds = context.world.prng.fork('v2-ends').perMille(ENDS_PER_MILLE)
  }

  get isIdle(): boolean {
    return !this.#isBusy
  }

  start(): void {
    this.#later()
  }

  stop(): void {
    this.#isStopped = true
  }

  /** Goes on after a stop, once it is idle. */
  resume(): void {
    this.#isStopped = false
    this.#round++
    this.#later()
  }

  #later(): void {
    const { world, options, rests } = this.#context
    const delayUs = rests.leftUs(world.nowUs) + this.#prng.skewed(options.thinkMeanMs * 2000)
    const round = this.#round
    world.queue.after(delayUs, () => {
      if (round === this.#round) this.#act()
    })
  }

  #act(): void {
    if (this.#isStopped) return
    const node = this.#prng.pick(this.#context.nodes)
    if (!node.isUp) {
      this.#later()
      return
    }
    const path = `${V2_WORK}${this.#prng.below(this.#context.options.keyCount)}`
    if (this.#prng.perMille(150)) this.#send(node, path, undefined)
    else this.#send(node, path, this.#draw(path))
  }

  #draw(path: string): Drawn {
    const Val = `w${this.#id}.${this.#count}`
    const seen = this.#seen.get(path) ?? 'nothing'
    const put = { Method: 'PUT', Val, PrevValue: '', PrevExist: undefined }
    const take = { ...put, Method: 'DELETE', Val: '' }
    return this.#prng.pick<Drawn>([
      put,
      put,
      { ...put, PrevExist: false },
      { ...put, PrevExist: true },
      { ...put, PrevValue: seen },
      { ...put, PrevValue: seen },
      take,
      { ...take, PrevValue: seen },
      { ...put, Method: 'QGET', Val: '' },
      { ...put, Method: 'QGET', Val: '' },
    ])
  }

  /** Without a request: a read that the member answers by itself. */
  #send(node: SimulatedNode, path: string, drawn: Drawn | undefined): void {
    const { world, history } = this.#context
    const mark = this.#id * MARKS_PER_CLIENT + ++this.#count
    const expires = drawn?.Method === 'PUT' && this.#givesEnds && this.#prng.perMille(200)
    const lifeMs = this.#prng.between(500, 5000)
    const operation: V2Operation = {
      client: this.#id,
      place: node.place,
      mark,
      path,
      method: drawn?.Method ?? 'GET',
      value: drawn?.Val ?? '',
      isLocal: drawn === undefined,
      expires,
      calledUs: world.nowUs,
      returnedUs: Number.POSITIVE_INFINITY,
      outcome: { kind: 'unknown' },
    }
    history.v2.push(operation)
    this.#isBusy = true
    let isOver = false
    const finish = (outcome: ClientOutcome): void => {
      if (isOver) return
      isOver = true
      this.#isBusy = false
      offDeath()
      offPatience()
      operation.outcome = outcome
      if (outcome.kind !== 'unknown') operation.returnedUs = world.nowUs
      world.trace.event(node.place, `v2-${outcome.kind}`, this.#id, mark)
      this.#learn(path, outcome)
      this.#later()
    }
    const offPatience = world.queue.after(PATIENCE_US, () => finish({ kind: 'unknown' }))
    const offDeath = node.onDeath(() => finish({ kind: 'unknown' }))
    const { incarnation } = node
    const answer = (outcome: ClientOutcome): void => {
      world.queue.after(this.#delayUs(), () => finish(outcome))
    }
    world.queue.after(this.#delayUs(), () =>
      node.run(incarnation, () => {
        const { member } = node
        if (member === undefined || !member.isServing) return
        if (drawn === undefined) {
          answer({ kind: 'answered', revision: 0, response: readHere(member, path) })
          return
        }
        const Expiration = expires
          ? BigInt(Math.round(node.clock.wallMs() + lifeMs)) * 1_000_000n + nanosecondOf(mark)
          : 0n
        const { ID: _, ...request } = V2Request.create({
          ...drawn,
          Path: path,
          Since: mark,
          Expiration,
        })
        member.proposeV2(request, (outcome) => answer(outcomeOf(outcome)))
      }),
    )
  }

  #delayUs(): number {
    return 10 + this.#prng.skewed(CLIENT_DELAY_US)
  }

  #learn(path: string, outcome: ClientOutcome): void {
    if (outcome.kind !== 'answered') return
    const [action = '', value = ''] = outcome.response.split(' ')
    if (action === 'error' || action === 'delete' || action === 'compareAndDelete')
      this.#seen.delete(path)
    else this.#seen.set(path, value)
  }
}

/** Another one for each request of a run, so that no two keys end at the same time. */
const nanosecondOf = (mark: number): bigint =>
  BigInt((mark % MARKS_PER_CLIENT) * CLIENTS_MAX + Math.floor(mark / MARKS_PER_CLIENT)) % 1_000_000n

function readHere(member: Member, path: string): string {
  return describe(member.state.v2.get({ path, nowMs: 0, isRecursive: false, isSorted: false }))
}

function outcomeOf(outcome: ApplyOutcome): ClientOutcome {
  if (outcome.kind === 'failed') return { kind: 'failed', code: outcome.code }
  return { kind: 'answered', revision: 0, response: describe(outcome.response as V2Result) }
}

/** In the words of the model. */
function describe(result: V2Result): string {
  if (result.kind === 'error') return `error ${result.error.code}`
  const { action, node, prevNode } = result.event
  const value = node.value === undefined ? '' : ` ${node.value}`
  return `${action}${value}${prevNode === undefined ? '' : ` was ${prevNode.value}`}`
}
