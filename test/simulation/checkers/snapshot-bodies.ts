import { latin1FromBytes } from '../../../src/base/latin1.js'
import type { Message } from '../../../src/wire/raftpb.js'
import type { SimulatedNode } from '../node.js'
import type { World } from '../world/world.js'
import type { Checker } from './checker.js'

/** The first bytes of a body (docs/formats/backend.md). */
const MAGIC_BYTES = 8
/** In front of a record: length of its key and of its value. */
const HEAD_BYTES = 8
/** In place of a key's length: the end. */
const END_MARK = 0xffff_ffff
/** The row that says up to which entry a store has applied, behind the byte of its bucket. */
const INDEX_ROW = 'consistent_index'

/** What was seen of one body. */
interface Body {
  isBegun: boolean
  index: number
}

/**
 * A snapshot is of the entry that it is sent under: the store in its body has applied exactly up to
 * there. The body is read as it leaves, by a reader of its own; its records come in whole chunks.
 */
export class SnapshotBodies implements Checker {
  readonly #world: World
  /** Bodies that broke off are forgotten with their messages. */
  readonly #bodies = new WeakMap<Message, Body>()

  constructor(world: World) {
    this.#world = world
  }

  onSnapshotChunk(from: SimulatedNode, message: Message, chunk: Uint8Array): void {
    let body = this.#bodies.get(message)
    if (body === undefined) {
      body = { isBegun: false, index: 0 }
      this.#bodies.set(message, body)
    }
    if (!this.#isEndIn(body, chunk)) return
    this.#bodies.delete(message)
    const wanted = message.snapshot?.metadata.index ?? 0
    this.#world.mark('snapshot-body-read')
    if (body.index !== wanted)
      this.#world.fail(
        'snapshot-body',
        `member ${from.place} sends the store as of entry ${body.index} as the snapshot of ${wanted}`,
      )
  }

  #isEndIn(body: Body, chunk: Uint8Array): boolean {
    const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    let at = body.isBegun ? 0 : MAGIC_BYTES
    body.isBegun = true
    while (at + HEAD_BYTES <= chunk.length) {
      const keyBytes = view.getUint32(at, true)
      if (keyBytes === END_MARK) return true
      const key = at + HEAD_BYTES
      const value = key + keyBytes
      const isIndex = keyBytes === INDEX_ROW.length + 1
      if (isIndex && latin1FromBytes(chunk.subarray(key + 1, value)) === INDEX_ROW)
        body.index = Number(view.getBigUint64(value))
      at = value + view.getUint32(at + 4, true)
    }
    return false
  }
}
