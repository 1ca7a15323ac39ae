/**
 * Pieces of bytes share slabs of this size: one allocation outside the heap for hundreds of them.
 */
const SLAB_BYTES = 64 * 1024
/** Larger ones get memory of their own, so that a slab is never wasted on one. */
const SLAB_ITEM_BYTES_MAX = 8 * 1024

let slab = new Uint8Array(SLAB_BYTES)
let slabUsed = 0

/**
 * A copy of `bytes[start, end)` in a shared slab: a third of the cost of an allocation of its own.
 * The slab lives as long as any of its pieces, so this is for what is kept in the order it was
 * made.
 */
export function copyToSlab(bytes: Uint8Array, start = 0, end = bytes.length): Uint8Array {
  const length = end - start
  if (length > SLAB_ITEM_BYTES_MAX) return bytes.slice(start, end)
  if (slabUsed + length > SLAB_BYTES) {
    slab = new Uint8Array(SLAB_BYTES)
    slabUsed = 0
  }
  const at = slabUsed
  slabUsed += length
  slab.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), at)
  return slab.subarray(at, slabUsed)
}
