import type { ClusterId, MemberId, Revision, Term } from '../base/ids.js'
import { type Encodable, preEncoded } from '../wire/codec.js'
import { ResponseHeader, WatchResponse } from '../wire/rpc.js'
import { Writer } from '../wire/writer.js'

/**
 * Tags of WatchResponse: header (1), watch_id (2), fragment (7); of ResponseHeader: revision (3).
 */
const HEADER_TAG = 0x0a
const WATCH_ID_TAG = 0x10
const FRAGMENT_TAG = 0x38
const REVISION_TAG = 0x18

/** Stands for "the whole stream" and for a watch that was never made. */
export const NO_WATCH_ID = -1

export interface ResponseOrigin {
  readonly clusterId: ClusterId
  readonly memberId: MemberId
  /** The current term. */
  readonly term: () => Term
}

/** What a response without events says, beside its header. */
export type ControlResponse = Omit<Encodable<typeof WatchResponse>, 'header' | 'events'>

/**
 * Encodes the parts of WatchResponse that differ between watchers. What seldom changes is encoded
 * once.
 */
export class ResponseEncoder {
  readonly #term: () => Term
  readonly #identity: Uint8Array
  readonly #writer = new Writer(256)
  #encodedTerm: Term | undefined
  #termBytes: Uint8Array = new Uint8Array(0)
  #header: Uint8Array = new Uint8Array(0)
  #headerRevision = -1

  constructor(origin: ResponseOrigin) {
    this.#term = origin.term
    const { clusterId, memberId } = origin
    this.#identity = ResponseHeader.encode({ clusterId, memberId })
  }

  /**
   * The beginning of a response that continues with events. `revision` is that of the store.
   * For watch id 0 and no fragment all callers with one revision get the same bytes.
   */
  head(revision: number, watchId: number, isFragment: boolean): Uint8Array {
    const header = this.#headerAt(revision)
    if (watchId === 0 && !isFragment) return header
    const writer = this.#writer
    writer.reset()
    writer.raw(header)
    if (watchId !== 0) {
      writer.uint32(WATCH_ID_TAG)
      writer.counter(watchId)
    }
    if (isFragment) {
      writer.uint32(FRAGMENT_TAG)
      writer.bool(true)
    }
    return writer.take()
  }

  /** A whole response without events. `revision` 0 leaves it out of the header. */
  control(revision: number, response: ControlResponse): Uint8Array {
    const header = this.#headerAt(revision)
    const length = header[1] as number
    return WatchResponse.encode({
      ...response,
      header: preEncoded<ResponseHeader>(header.subarray(header.length - length)),
    })
  }

  /** Field `header` of a response: tag, length (below 128: one byte), message. */
  #headerAt(revision: number): Uint8Array {
    const term = this.#term()
    if (term !== this.#encodedTerm) {
      this.#encodedTerm = term
      this.#termBytes = ResponseHeader.encode({ raftTerm: term })
    } else if (revision === this.#headerRevision) {
      return this.#header
    }
    const writer = this.#writer
    writer.reset()
    writer.uint32(HEADER_TAG)
    const start = writer.open()
    writer.raw(this.#identity)
    if (revision !== 0) {
      writer.uint32(REVISION_TAG)
      writer.counter(revision as Revision)
    }
    writer.raw(this.#termBytes)
    writer.close(start)
    this.#header = writer.take()
    this.#headerRevision = revision
    return this.#header
  }
}
