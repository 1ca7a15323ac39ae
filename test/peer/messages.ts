/** Messages and entries to send about. */
import { logIndex, type MemberId, memberId, term } from '../../src/base/ids.js'
import type { Encodable as EncodableOf } from '../../src/wire/codec.js'
import { Entry, Message, Snapshot, SnapshotMetadata } from '../../src/wire/raftpb.js'

export { Entry, Message }
export type Encodable = EncodableOf<typeof Message>

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

export function entry(index: number, text: string, entryTerm = 1): Entry {
  return Entry.create({ term: term(entryTerm), index: logIndex(index), data: utf8(text) })
}

/** Entries `from` (inclusive) to `to` (exclusive). */
export function entries(from: number, to: number, entryTerm = 1): Entry[] {
  const out: Entry[] = []
  for (let index = from; index < to; index++) out.push(entry(index, `value ${index}`, entryTerm))
  return out
}

export interface AppendInit {
  readonly from: number
  readonly to: number
  readonly index: number
  readonly entries: readonly Entry[]
  readonly term?: number
  readonly logTerm?: number
  readonly commit?: number
}

export function append(init: AppendInit): Message {
  const ownTerm = init.term ?? 1
  return Message.create({
    type: 'MsgApp',
    from: id(init.from),
    to: id(init.to),
    term: term(ownTerm),
    logTerm: term(init.logTerm ?? ownTerm),
    index: logIndex(init.index),
    entries: init.entries,
    commit: logIndex(init.commit ?? 0),
  })
}

export function snapshotMessage(
  init: Readonly<{ from: number; to: number; index: number }>,
): Message {
  return Message.create({
    type: 'MsgSnap',
    from: id(init.from),
    to: id(init.to),
    term: term(1),
    snapshot: Snapshot.create({
      data: utf8('{}'),
      metadata: SnapshotMetadata.create({ index: logIndex(init.index), term: term(1) }),
    }),
  })
}

export const id = (number: number): MemberId => memberId(BigInt(number))

/** The opposite of the codec's view: what two messages say, whatever arrays hold their bytes. */
export function said(message: Message): string {
  return Buffer.from(Message.encode(message)).toString('hex')
}
