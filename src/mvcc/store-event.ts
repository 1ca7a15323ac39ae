import { type Revision, revision } from '../base/ids.js'
import { bytesFromLatin1 } from '../base/latin1.js'
import { copyToSlab } from '../base/slab.js'
import { type Event, Event as EventCodec, KeyValue } from '../wire/mvccpb.js'
import type { Row } from './rows.js'
import { asKeyValue, readStoredHead, readStoredKey } from './stored-key-value.js'

/** One change of one key. All events of one revision belong together, in the order of `sub`. */
export interface StoreEvent {
  readonly type: 'PUT' | 'DELETE'
  /** As a latin1 string. */
  readonly key: string
  readonly modRevision: Revision
  /** Place among the changes of its revision, from 0. */
  readonly sub: number
  /** A put that made the key: its create revision is its mod revision. */
  readonly isCreate: boolean
  /**
   * Encoded mvccpb.KeyValue as watchers get it; of a deleted key it has the key and mod revision
   * only.
   */
  readonly kv: Uint8Array
}

/** What watchers see of a deletion: the row itself holds the key only. */
export function deleteEvent(key: string, main: number, sub: number): StoreEvent {
  const kv = KeyValue.encode({ key: bytesFromLatin1(key), modRevision: revision(main) })
  return {
    type: 'DELETE',
    key,
    modRevision: revision(main),
    sub,
    isCreate: false,
    kv: copyToSlab(kv),
  }
}

/** The event that a row was made by. */
export function eventOfRow(row: Row): StoreEvent {
  if (row.isTombstone) return deleteEvent(readStoredKey(row.value), row.main, row.sub)
  const head = readStoredHead(row.value)
  return {
    type: 'PUT',
    key: head.key,
    modRevision: revision(row.main),
    sub: row.sub,
    isCreate: head.createRevision === row.main,
    kv: row.value,
  }
}

/** Encodes an event as mvccpb.Event; `prevKv` is an encoded KeyValue. */
export function encodeEvent(event: StoreEvent, prevKv?: Uint8Array): Uint8Array {
  return EventCodec.encode({
    type: event.type,
    kv: asKeyValue(event.kv),
    prevKv: prevKv === undefined ? undefined : asKeyValue(prevKv),
  } satisfies Event)
}
