/**
 * SHA-1 (FIPS 180-4) in plain ECMAScript: member and cluster ids are cut from it (facts:
 * peer-protocol.md 8) and the pure folders have no crypto. Ids only; nothing here is a matter of
 * secrecy.
 */
import { invariant } from './invariant.js'

/** Bytes of a digest. */
export const SHA1_BYTES = 20

const BLOCK_BYTES = 64

const rotate = (value: number, bits: number): number => (value << bits) | (value >>> (32 - bits))

function padded(input: Uint8Array): DataView {
  const blocks = Math.floor((input.length + 8) / BLOCK_BYTES) + 1
  const out = new Uint8Array(blocks * BLOCK_BYTES)
  out.set(input)
  out[input.length] = 0x80
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength)
  const bits = input.length * 8
  view.setUint32(out.length - 8, Math.floor(bits / 2 ** 32))
  view.setUint32(out.length - 4, bits >>> 0)
  return view
}

/** The round function and constant of step `step` (0 to 79). */
function mix(step: number, b: number, c: number, d: number): number {
  if (step < 20) return ((b & c) | (~b & d)) + 0x5a827999
  if (step < 40) return (b ^ c ^ d) + 0x6ed9eba1
  if (step < 60) return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
  return (b ^ c ^ d) + 0xca62c1d6
}

/** The 20-byte digest of `input`. Cost: linear. */
export function sha1(input: Uint8Array): Uint8Array {
  const view = padded(input)
  const state = new Int32Array([0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0])
  const words = new Int32Array(80)
  for (let offset = 0; offset < view.byteLength; offset += BLOCK_BYTES) {
    for (let step = 0; step < 16; step++) words[step] = view.getInt32(offset + step * 4)
    const word = (at: number): number => words[at] ?? 0
    for (let step = 16; step < 80; step++) {
      words[step] = rotate(word(step - 3) ^ word(step - 8) ^ word(step - 14) ^ word(step - 16), 1)
    }
    let [a = 0, b = 0, c = 0, d = 0, e = 0] = state
    for (let step = 0; step < 80; step++) {
      const next = (rotate(a, 5) + mix(step, b, c, d) + e + word(step)) | 0
      e = d
      d = c
      c = rotate(b, 30)
      b = a
      a = next
    }
    for (const [at, value] of [a, b, c, d, e].entries()) state[at] = (state[at] ?? 0) + value
  }
  const digest = new Uint8Array(SHA1_BYTES)
  const out = new DataView(digest.buffer, digest.byteOffset, digest.byteLength)
  for (const [at, value] of state.entries()) out.setInt32(at * 4, value)
  return digest
}

/** The first 8 bytes of the digest as a big-endian unsigned number: how etcd makes ids. */
export function sha1Id(input: Uint8Array): bigint {
  const digest = sha1(input)
  invariant(digest.length === SHA1_BYTES, 'a SHA-1 digest has 20 bytes')
  return new DataView(digest.buffer, digest.byteOffset, digest.byteLength).getBigUint64(0)
}
