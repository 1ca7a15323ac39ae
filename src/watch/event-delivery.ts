import type { StoreEvent } from '../mvcc/store-event.js'
import type { ResponseEncoder } from './response-encoder.js'
import type { SharedEvent } from './shared-event.js'
import type { Watcher } from './watcher.js'

/** Watch ids below this share whole responses: most streams number their few watches from 0. */
const SHARED_IDS = 64

/** Events as fields of a response: one by one for cutting, and all together for sending. */
export interface EventContent {
  readonly fields: readonly Uint8Array[]
  readonly joined: Uint8Array
}

/** Gives events to watchers as responses, sharing between them all bytes that are equal. */
export class EventDelivery {
  readonly #encoder: ResponseEncoder
  readonly #prevKv: (event: StoreEvent) => Uint8Array | undefined
  readonly #fragmentBytes: number
  /**
   * The responses of one event by watch id, without and with prev_kv; valid for `#sharedFor` only.
   */
  readonly #shared = new Array<readonly Uint8Array[] | undefined>(2 * SHARED_IDS).fill(undefined)
  #eventsSent = 0
  #sharedFor: SharedEvent | undefined = undefined

  constructor(
    options: Readonly<{
      encoder: ResponseEncoder
      prevKv: (event: StoreEvent) => Uint8Array | undefined
      fragmentBytes: number
    }>,
  ) {
    this.#encoder = options.encoder
    this.#prevKv = options.prevKv
    this.#fragmentBytes = options.fragmentBytes
  }

  /** Events given to streams so far. */
  get eventsSent(): number {
    return this.#eventsSent
  }

  /** One event of its own revision to one watcher. A single event is never cut. */
  sendOne(watcher: Watcher, shared: SharedEvent, revision: number): void {
    watcher.isQuiet = false
    this.#eventsSent++
    watcher.stream.send(this.#partsFor(watcher, shared, revision), 1)
  }

  /** Ends the sharing that `sendOne` began, so that nothing of an event is kept. */
  forget(): void {
    if (this.#sharedFor === undefined) return
    this.#sharedFor = undefined
    this.#shared.fill(undefined)
  }

  /** The events as watchers get them that want the same form of them. */
  contentOf(events: readonly SharedEvent[], wantsPrevious: boolean): EventContent {
    const fields = events.map((shared) =>
      wantsPrevious ? shared.withPrevious(this.#prevKv) : shared.plain(),
    )
    return { fields, joined: join(fields) }
  }

  /**
   * Several events to one watcher: one response, or fragments of it if it wants them and they are
   * big.
   */
  sendMany(watcher: Watcher, content: EventContent, revision: number): void {
    watcher.isQuiet = false
    const { fields, joined } = content
    this.#eventsSent += fields.length
    const head = this.#encoder.head(revision, watcher.id, false)
    const isBig = head.length + joined.length >= this.#fragmentBytes
    if (isBig && fields.length > 1 && watcher.settings.wantsFragments) {
      this.#sendFragments(watcher, fields, revision)
    } else {
      watcher.stream.send([head, joined], fields.length)
    }
  }

  /**
   * As etcd cuts them: as many events as stay below the size, at least one; all but the last say
   * `fragment`.
   */
  #sendFragments(watcher: Watcher, fields: readonly Uint8Array[], revision: number): void {
    const head = this.#encoder.head(revision, watcher.id, true)
    let at = 0
    while (at < fields.length) {
      const parts = [head]
      let bytes = head.length
      while (at < fields.length) {
        const field = fields[at] as Uint8Array
        if (parts.length > 1 && bytes + field.length >= this.#fragmentBytes) break
        parts.push(field)
        bytes += field.length
        at++
      }
      if (at === fields.length) parts[0] = this.#encoder.head(revision, watcher.id, false)
      watcher.stream.send(parts, parts.length - 1)
    }
  }

  #partsFor(watcher: Watcher, shared: SharedEvent, revision: number): readonly Uint8Array[] {
    const { id } = watcher
    const { wantsPrevious } = watcher.settings
    if (id < 0 || id >= SHARED_IDS) return this.#compose(watcher, shared, revision)
    if (this.#sharedFor !== shared) {
      this.forget()
      this.#sharedFor = shared
    }
    const place = wantsPrevious ? id + SHARED_IDS : id
    let parts = this.#shared[place]
    if (parts === undefined) {
      parts = this.#compose(watcher, shared, revision)
      this.#shared[place] = parts
    }
    return parts
  }

  #compose(watcher: Watcher, shared: SharedEvent, revision: number): readonly Uint8Array[] {
    const body = watcher.settings.wantsPrevious ? shared.withPrevious(this.#prevKv) : shared.plain()
    return [this.#encoder.head(revision, watcher.id, false), body]
  }
}

/** The parts as one; the part itself when it is the only one. */
function join(parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts
  if (parts.length === 1 && only !== undefined) return only
  let bytes = 0
  for (const part of parts) bytes += part.length
  const joined = new Uint8Array(bytes)
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}
