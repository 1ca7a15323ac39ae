import { type MemberId, type RequestId, requestId } from '../base/ids.js'

const LOW_BITS = 48n
const LOW_MASK = (1n << LOW_BITS) - 1n

/**
 * Ids of proposals, unique among the members and across restarts while it matters: 2 bytes of the
 * member id, 5 bytes of unix milliseconds, 1 byte of counter, counting over the low 48 bits (facts:
 * peer-protocol.md 8).
 */
export class RequestIds {
  readonly #prefix: bigint
  #low: number

  constructor(member: MemberId, wallMs: number) {
    this.#prefix = (member & 0xffffn) << LOW_BITS
    this.#low = Number((BigInt(Math.floor(wallMs)) & 0xff_ffff_ffffn) << 8n)
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
