import type { Entry, Message } from '../wire/raftpb.js'
import { Entry as EntryCodec } from '../wire/raftpb.js'
import { Writer } from '../wire/writer.js'

/** Appends frames of one stream to its output. */
export interface FrameEncoder {
  message(message: Message, out: Writer): void
  linkHeartbeat(out: Writer): void
}

/** Writes an unsigned big-endian 64-bit number. */
export function writeU64(out: Writer, value: number): void {
  out.reserve(8)
  putU64(out.buffer, out.position, value)
  out.position += 8
}

function putU64(bytes: Uint8Array, at: number, value: number): void {
  putU32(bytes, at, Math.floor(value / 0x1_0000_0000))
  putU32(bytes, at + 4, value >>> 0)
}

/** By hand: a DataView made for it costs several times the writing. */
function putU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}

/**
 * Reserves the eight bytes of a length; give the result to `closeU64` once the content is written.
 */
export function openU64(out: Writer): number {
  out.reserve(8)
  out.position += 8
  return out.position
}

export function closeU64(out: Writer, contentStart: number): void {
  putU64(out.buffer, contentStart - 8, out.position - contentStart)
}

/** The scratch buffer is given back when a batch made it larger than this. */
const KEPT_BYTES_MAX = 1 << 22

/**
 * Entries in the form of the append stream, encoded once for all followers: the same entries
 * usually go to each of them within one `send`. `forget` at its end frees what was shared.
 */
export class SharedEntries {
  #entries: readonly Entry[] = []
  #writer = new Writer(4096)
  /** Where each entry begins in the scratch buffer, its length's eight bytes included. */
  #starts: number[] = []

  /** `count × { u64 size; Entry }`, valid until the next call. Cost: one pass, or a comparison. */
  block(entries: readonly Entry[]): Uint8Array {
    this.#prepare(entries)
    return this.#writer.view()
  }

  /** Each entry's encoding alone, valid until the next call. */
  each(entries: readonly Entry[]): Uint8Array[] {
    this.#prepare(entries)
    const bytes = this.#writer.view()
    return this.#starts.map((start, at) => bytes.subarray(start + 8, this.#starts[at + 1]))
  }

  forget(): void {
    if (this.#entries.length === 0) return
    this.#entries = []
    this.#starts = []
    if (this.#writer.buffer.length > KEPT_BYTES_MAX) this.#writer = new Writer(4096)
    this.#writer.position = 0
  }

  #isPrepared(entries: readonly Entry[]): boolean {
    const known = this.#entries
    if (entries === known) return true
    if (entries.length !== known.length) return false
    for (let at = 0; at < known.length; at++) if (entries[at] !== known[at]) return false
    return true
  }

  #prepare(entries: readonly Entry[]): void {
    if (this.#isPrepared(entries)) return
    const writer = this.#writer
    writer.position = 0
    this.#entries = entries
    this.#starts = []
    for (const entry of entries) {
      this.#starts.push(writer.position)
      const start = openU64(writer)
      EntryCodec.write(entry, writer)
      closeU64(writer, start)
    }
  }
}
