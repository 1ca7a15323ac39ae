import { type MemberId, type RequestId, requestId } from '../base/ids.js'
import type { Entropy } from '../ports/clock.js'

const LOW_BITS = 48n
const LOW_MASK = (1n << LOW_BITS) - 1n
const HALF = 2 ** 24

/**
 * Ids of proposals, unique among the members and across restarts: 2 bytes of the member id, then 48
 * bits that count on from a number drawn at the start. etcd begins with the wall clock there
 * (facts: peer-protocol.md 8), and a clock that was set back gives ids again whose entries, still
 * under way at another member, are then taken for another proposal's. Nobody reads a time out of an
 * id; two starts meet with a chance of their proposals' number in 2^48.
 */
export class RequestIds {
  readonly #prefix: bigint
  #low: number

  constructor(member: MemberId, entropy: Entropy) {
    this.#prefix = (member & 0xffffn) << LOW_BITS
    this.#low = entropy.below(HALF) * HALF + entropy.below(HALF)
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
