import type { Member } from '../../../src/member/member.js'
import type { V2Event } from '../../../src/v2store/event.js'
import type { V2Store } from '../../../src/v2store/store.js'
import type { V2Watcher } from '../../../src/v2store/watcher-hub.js'
import { V2_WORK } from '../linearizability/v2-model.js'
import type { SimulatedNode } from '../node.js'
import type { Prng } from '../world/prng.js'
import type { ClientContext } from './client.js'

/** One way between client and member, mean microseconds. */
const CLIENT_DELAY_US = 200
/** How often a process looks whether it took over a snapshot, as in production, microseconds. */
const STORE_CHECK_US = 1_000_000
/** Longest time a client leaves its answers unread, microseconds. */
const READ_PAUSE_US = 2_000_000

/** One thing that a client was told. */
export interface V2News {
  /** The store's index at which it happened. */
  readonly index: number
  /** In the words of `V2Model`. */
  readonly text: string
}

/** A client's watches of one path, each going on behind the one before: nothing may be missing between. */
export interface V2WatchRecord {
  readonly watcher: number
  readonly path: string
  /** Asked for from the first index on, not from now. */
  readonly isFromFirst: boolean
  readonly news: V2News[]
}

/** Waits for changes of v2 keys for ever, by long polls or streams, on one member after the other. */
export class V2WatchClient {
  readonly #id: number
  readonly #context: ClientContext
  readonly #prng: Prng
  readonly records: V2WatchRecord[] = []
  /** Index to ask for; 0 = from now. */
  #next = 0
  #isStopped = false
  #closeOpen: () => void = () => undefined

  constructor(id: number, context: ClientContext) {
    this.#id = id
    this.#context = context
    this.#prng = context.world.prng.fork(`v2-watcher/${id}`)
  }

  start(): void {
    this.#later(this.#prng.below(3_000_000))
  }

  /** Ends the watch that is open, and opens no other. */
  close(): void {
    this.#isStopped = true
    this.#closeOpen()
  }

  #later(delayUs: number): void {
    this.#context.world.queue.after(delayUs, () => this.#connect())
  }

  #connect(): void {
    if (this.#isStopped) return
    const node = this.#prng.pick(this.#context.nodes)
    if (!node.isUp) {
      this.#later(200_000)
      return
    }
    const record = this.#next === 0 || this.#prng.perMille(50) ? this.#begin() : this.records.at(-1)
    if (record !== undefined) this.#open(node, record)
  }

  /** Another path, and from another index. */
  #begin(): V2WatchRecord {
    const prng = this.#prng
    const isFromFirst = prng.perMille(300)
    const key = prng.below(this.#context.options.keyCount)
    const path = prng.perMille(500) ? V2_WORK.slice(0, -1) : `${V2_WORK}${key}`
    const record = { watcher: this.#id, path, isFromFirst, news: [] }
    this.#next = isFromFirst ? 1 : 0
    this.records.push(record)
    return record
  }

  #open(node: SimulatedNode, record: V2WatchRecord): void {
    const { world } = this.#context
    const { incarnation } = node
    let isGone = false
    let watcher: V2Watcher | undefined
    let isReadScheduled = false
    const leave = (): void => {
      if (isGone) return
      isGone = true
      offDeath()
      node.run(incarnation, () => watcher?.remove())
      this.#later(this.#delayUs())
    }
    const read = (): void => {
      isReadScheduled = false
      if (isGone || watcher === undefined) return
      for (let event = watcher.take(); event !== undefined; event = watcher.take())
        this.#hear(node, record, event)
      if (watcher.isEnded) leave()
    }
    const onReadable = (): void => {
      if (isReadScheduled) return
      isReadScheduled = true
      const pauseUs = this.#prng.perMille(50) ? this.#prng.below(READ_PAUSE_US) : 0
      world.queue.after(pauseUs + this.#delayUs(), () => node.run(incarnation, read))
    }
    const offDeath = node.onDeath(leave)
    this.#closeOpen = leave
    world.queue.after(this.#delayUs(), () =>
      node.run(incarnation, () => {
        const { member } = node
        if (isGone || member === undefined || !member.isServing) {
          leave()
          return
        }
        watcher = this.#ask(member, record, onReadable)
        if (watcher === undefined) {
          leave()
          return
        }
        onReadable()
        this.#follow(node, incarnation, { member, watcher, leave })
      }),
    )
    world.queue.after(this.#prng.between(500_000, 20_000_000), leave)
  }

  /** Undefined when the history no longer has what was asked for: then the next watch is one from now. */
  #ask(member: Member, record: V2WatchRecord, onReadable: () => void): V2Watcher | undefined {
    const { v2 } = member.state
    // A stream that is served from the history hears one event and no more: etcd's own quirk.
    const isStream = this.#next === 0 && this.#prng.perMille(500)
    const result = v2.watch({
      path: record.path,
      isRecursive: !record.path.startsWith(V2_WORK),
      isStream,
      sinceIndex: this.#next,
      onReadable,
    })
    if (result.kind === 'error') {
      this.#next = 0
      return undefined
    }
    if (this.#next === 0) this.#next = v2.index + 1
    return result.watcher
  }

  /** What a member's process does with those who wait when it took over a snapshot. */
  #follow(
    node: SimulatedNode,
    incarnation: number,
    open: { readonly member: Member; readonly watcher: V2Watcher; readonly leave: () => void },
  ): void {
    const { world } = this.#context
    const { member, watcher, leave } = open
    let store: V2Store = member.state.v2
    const look = (): void => {
      if (watcher.isEnded) return
      const { v2 } = member.state
      if (v2 !== store) {
        world.mark('v2-store-followed')
        const failure = v2.adopt(watcher, store.index + 1)
        store = v2
        if (failure !== undefined) {
          leave()
          return
        }
      }
      world.queue.after(STORE_CHECK_US, () => node.run(incarnation, look))
    }
    world.queue.after(STORE_CHECK_US, () => node.run(incarnation, look))
  }

  #hear(node: SimulatedNode, record: V2WatchRecord, event: V2Event): void {
    const { action, node: file, prevNode } = event
    const value = file.value === undefined ? '' : ` ${file.value}`
    const before = prevNode?.value === undefined ? '' : ` was ${prevNode.value}`
    const index = file.modifiedIndex
    // A stream hears twice, as from etcd, that the very key it watches was removed.
    const isRemoval = file.value === undefined && file.key === record.path
    if (isRemoval && record.news.at(-1)?.index === index) return
    record.news.push({ index, text: `${file.key} ${action}${value}${before}` })
    this.#context.world.mark('v2-told')
    this.#context.world.trace.event(node.place, 'v2-told', this.#id, index)
    this.#next = index + 1
  }

  #delayUs(): number {
    return 10 + this.#prng.skewed(CLIENT_DELAY_US)
  }
}
