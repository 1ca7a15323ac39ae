import { type MemberId, type RequestId, requestId } from '../base/ids.js'
import { openEntry } from '../wire/raft-envelope.js'
import type { Entry } from '../wire/raftpb.js'

const LOW_BITS = 48n
const LOW_MASK = (1n << LOW_BITS) - 1n
/** So many of the log's newest entries are looked through for ids of our own. */
export const OWN_ENTRIES_LOOKED_AT_MAX = 1000

/**
 * Ids of proposals, unique among the members and across restarts while it matters: 2 bytes of the
 * member id, 5 bytes of unix milliseconds, 1 byte of counter, counting over the low 48 bits (facts:
 * peer-protocol.md 8). A clock that was set back over a restart would give ids again whose entries
 * are still to be applied, and their outcome would be taken for that of another proposal: the log's
 * newest entries say where to go on from.
 */
export class RequestIds {
  readonly #prefix: bigint
  #low: number

  constructor(member: MemberId, wallMs: number, newestEntries: readonly Entry[] = []) {
    this.#prefix = (member & 0xffffn) << LOW_BITS
    this.#low = Number((BigInt(Math.floor(wallMs)) & 0xff_ffff_ffffn) << 8n)
    for (const entry of newestEntries.slice(-OWN_ENTRIES_LOOKED_AT_MAX)) this.#skip(entry)
  }

  #skip({ type, data }: Entry): void {
    const opened = type === 'EntryNormal' ? openEntry(data) : undefined
    if (opened?.kind !== 'v3' && opened?.kind !== 'v2') return
    const isOwn = (opened.id & ~LOW_MASK) === this.#prefix
    if (isOwn) this.#low = Math.max(this.#low, Number(opened.id & LOW_MASK))
  }

  next(): RequestId {
    this.#low++
    return requestId(this.#prefix | (BigInt(this.#low) & LOW_MASK))
  }

  /** The next id as eight bytes, big-endian: the context of a read index question. */
  nextBytes(): Uint8Array {
    const bytes = new Uint8Array(8)
    new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).setBigUint64(0, this.next())
    return bytes
  }
}
