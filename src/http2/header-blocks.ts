import { BlockCache } from './block-cache.js'
import { HpackDecoder } from './hpack-decoder.js'
import type { Http2Limits } from './limits.js'
import { ERROR, Http2ConnectionError } from './protocol.js'
import { parseRequestFields, type RequestFields } from './request-fields.js'

/**
 * What a request's header block means: what the application made of it, and what the engine checks.
 */
export interface ReadHead<Head> {
  readonly head: Head
  /** Declared bytes of the body; -1 when not declared. */
  readonly contentLength: number
}

/** A request head that could not be taken, with the reason. */
export type BadHead = 'malformed' | 'too-large'

/** What is known of a header block before its end. */
export interface OpenBlock {
  readonly id: number
  readonly endsStream: boolean
  /** The stream is to be reset once the block is decoded. */
  readonly isBad: boolean
}

/**
 * The header blocks of one connection: puts those together that go on in CONTINUATION frames, and
 * decodes them, each one once while the table stays as it was.
 */
export class HeaderBlocks<Head> {
  readonly #limits: Http2Limits
  readonly #application: { readHead(request: RequestFields): Head }
  readonly #decoder: HpackDecoder
  readonly #heads = new BlockCache<ReadHead<Head>>()
  #open: OpenBlock | undefined
  #parts: Uint8Array[] = NO_PARTS
  #bytes = 0

  constructor(limits: Http2Limits, application: { readHead(request: RequestFields): Head }) {
    this.#limits = limits
    this.#application = application
    this.#decoder = new HpackDecoder({
      listBytesMax: limits.headerListBytesMax,
      fieldCountMax: limits.headerCountMax,
    })
  }

  /** Whether a block has begun and not ended: only its CONTINUATION may follow. */
  get isOpen(): boolean {
    return this.#open !== undefined
  }

  /** Keeps a copy of the first part of a block that goes on. */
  open(block: OpenBlock, bytes: Uint8Array, start: number, end: number): void {
    this.#open = block
    this.#parts = [Uint8Array.prototype.slice.call(bytes, start, end)]
    this.#bytes = end - start
  }

  /**
   * Adds a copy of the next part. Throws Http2ConnectionError when none is awaited or it is too
   * much.
   */
  append(id: number, bytes: Uint8Array, start: number, end: number): OpenBlock {
    const open = this.#open
    if (open === undefined || open.id !== id) {
      throw new Http2ConnectionError(ERROR.PROTOCOL_ERROR, 'CONTINUATION without a header block')
    }
    this.#parts.push(Uint8Array.prototype.slice.call(bytes, start, end))
    this.#bytes += end - start
    if (
      this.#bytes > this.#limits.headerBlockBytesMax ||
      this.#parts.length > this.#limits.continuationFramesMax + 1
    ) {
      throw new Http2ConnectionError(ERROR.ENHANCE_YOUR_CALM, 'a header block is too large')
    }
    return open
  }

  /** Ends the block that was open and returns it whole. */
  close(): Uint8Array {
    const block = Buffer.concat(this.#parts)
    this.#open = undefined
    this.#parts = NO_PARTS
    return block
  }

  /**
   * The head of a request, from memory when the same bytes were decoded before under the same
   * table.
   */
  head(bytes: Uint8Array, start: number, end: number): ReadHead<Head> | BadHead {
    const decoder = this.#decoder
    const { generation } = decoder
    const known = this.#heads.get(bytes, start, end, generation)
    if (known !== undefined) return known
    const flat = decoder.decode(bytes, start, end)
    if (decoder.isTruncated) return 'too-large'
    const request = parseRequestFields(flat)
    if (request === undefined) return 'malformed'
    const head = this.#application.readHead(request)
    const value = { head, contentLength: request.contentLength }
    if (decoder.generation === generation) {
      this.#heads.put(bytes, start, end, { generation, value })
    }
    return value
  }

  /** The fields of a block that is no request's; decoded for the table's sake in any case. */
  trailers(bytes: Uint8Array, start: number, end: number): readonly string[] {
    return this.#decoder.decode(bytes, start, end)
  }
}

const NO_PARTS: Uint8Array[] = []
