import { copyToSlab } from '../base/slab.js'
import type { StoreEvent } from '../mvcc/store-event.js'
import { Writer } from '../wire/writer.js'

/** Tags of WatchResponse.events (11) and of Event's type (1), kv (2) and prev_kv (3). */
const EVENTS_TAG = 0x5a
const TYPE_TAG = 0x08
const TYPE_DELETE = 1
const KV_TAG = 0x12
const PREV_KV_TAG = 0x1a

const writer = new Writer(4096)

/**
 * An event encoded at most once for each of the two forms that watchers ask for, however many they
 * are.
 */
export class SharedEvent {
  readonly event: StoreEvent
  #plain: Uint8Array | undefined = undefined
  #withPrevious: Uint8Array | undefined = undefined

  constructor(event: StoreEvent) {
    this.event = event
  }

  /** The event as a field of WatchResponse, without prev_kv. */
  plain(): Uint8Array {
    this.#plain ??= encode(this.event, undefined)
    return this.#plain
  }

  /** The same with prev_kv, if there is one. */
  withPrevious(prevKv: (event: StoreEvent) => Uint8Array | undefined): Uint8Array {
    if (this.#withPrevious !== undefined) return this.#withPrevious
    const previous = this.event.isCreate ? undefined : prevKv(this.event)
    this.#withPrevious = previous === undefined ? this.plain() : encode(this.event, previous)
    return this.#withPrevious
  }
}

function encode(event: StoreEvent, previous: Uint8Array | undefined): Uint8Array {
  writer.reset()
  writer.uint32(EVENTS_TAG)
  const start = writer.open()
  if (event.type === 'DELETE') {
    writer.uint32(TYPE_TAG)
    writer.uint32(TYPE_DELETE)
  }
  writer.uint32(KV_TAG)
  writer.bytes(event.kv)
  if (previous !== undefined) {
    writer.uint32(PREV_KV_TAG)
    writer.bytes(previous)
  }
  writer.close(start)
  return copyToSlab(writer.view())
}
