/**
 * HTTP/1.1 for the requests that come most: reads, writes and waits for keys, one after the other
 * on a connection that stays open. It reads the socket itself; the answers of one turn of the event
 * loop leave together. The first request that is anything else (another path, an unusual head, a
 * body that comes in pieces) takes the connection to Node's HTTP server, for good. Measured with
 * bench/v2-http.sh: Node's HTTP server costs several times the work that a read is, and twice the
 * memory that a waiting client is.
 */
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import type { HttpAccess } from '../base/http-access.js'
import type { HeaderList } from './answer.js'
import { AnswerHeads, headerText } from './answer-head.js'
import type { KeysHandler } from './keys-handler.js'
import { HEAD_END, PlainRequestParser, withEscapedTarget } from './plain-request.js'
import {
  type Body,
  KEEP_ALIVE_MS,
  type PieceListener,
  type Pieces,
  type Place,
  type Reply,
} from './reply.js'

export interface FastLaneOptions {
  readonly keys: KeysHandler
  readonly access: HttpAccess
  /** Gives the connection to Node's HTTP server; what was read is in the socket again. */
  readonly fallback: (socket: Socket) => void
}

/** Characters of answers that one connection keeps back; with more they leave at once. */
const OUTGOING_LENGTH_MAX = 64 * 1024

const usualPush = Readable.prototype.push

/** What all connections share. */
class Lane {
  readonly keys: KeysHandler
  readonly fallback: (socket: Socket) => void
  readonly parser: PlainRequestParser
  readonly heads = new AnswerHeads()
  #answered: LaneConnection[] = []
  readonly #flush = (): void => {
    const answered = this.#answered
    this.#answered = []
    for (const connection of answered) connection.flushAnswers()
  }

  constructor({ keys, access, fallback }: FastLaneOptions) {
    this.keys = keys
    this.fallback = fallback
    this.parser = new PlainRequestParser(access)
  }

  /**
   * Lets the answers of `connection` leave at the end of this turn of the event loop, right behind
   * those of the others: a client that serves many connections is then woken once, and not by each.
   */
  flushSoon(connection: LaneConnection): void {
    if (this.#answered.push(connection) === 1) setImmediate(this.#flush)
  }
}

/**
 * One connection. States: `reading` → `answering` → `reading`, and from each → `gone` to Node's
 * server or with the socket. Requests are answered one by one, as Go does: at most one waits for
 * the log or for a change, and what comes meanwhile pauses the socket.
 */
class LaneConnection implements Reply, Pieces {
  readonly #lane: Lane
  readonly #socket: Socket
  #state: 'reading' | 'answering' | 'gone' = 'reading'
  /** What was read beyond the request that is being answered. */
  #rest: Buffer | undefined
  #isInTurn = false
  /** The client sends nothing more. */
  #isEnded = false
  #authorization = ''
  /** While an answer comes in pieces. */
  #listener: PieceListener | undefined
  /** Answers that leave at the end of this turn, and the head of one in pieces. */
  #outgoing = ''
  /** Whether that is ASCII, which is written as it is; all else needs UTF-8. */
  #isAscii = true
  readonly #onData = (chunk: Buffer): void => this.#read(chunk)
  readonly #onPush = (chunk: unknown, encoding?: BufferEncoding): boolean =>
    this.#push(chunk, encoding)
  readonly #onDrain = (): void => this.#drained()
  readonly #onEnd = (): void => this.#ended()
  readonly #onClose = (): void => this.#closed()

  constructor(lane: Lane, socket: Socket) {
    this.#lane = lane
    this.#socket = socket
    // A client may end its side once it has asked, and still wants the answer.
    socket.allowHalfOpen = true
    socket.push = this.#onPush
    socket.on('data', this.#onData)
    socket.on('drain', this.#onDrain)
    socket.on('end', this.#onEnd)
    socket.on('close', this.#onClose)
  }

  get authorization(): string {
    return this.#authorization
  }

  get socket(): Socket {
    return this.#socket
  }

  get isGone(): boolean {
    return this.#state === 'gone' || this.#isEnded || this.#socket.destroyed
  }

  drop(): void {
    this.#socket.destroy()
  }

  /**
   * Takes what the socket reads as it comes, instead of an event behind a look at the stream's
   * queue and a later turn for more: that is a tenth of what a read of a key costs. While the
   * stream is paused, or has a queue, it has its usual way, with its bounds.
   */
  #push(chunk: unknown, encoding: BufferEncoding | undefined): boolean {
    const socket = this.#socket
    const isDirect = socket.readableFlowing === true && socket.readableLength === 0
    if (!isDirect || !Buffer.isBuffer(chunk)) return usualPush.call(socket, chunk, encoding)
    this.#read(chunk)
    return true
  }

  #read(chunk: Buffer): void {
    this.#rest = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk])
    this.#advance()
  }

  #drained(): void {
    if (this.#listener === undefined) this.#advance()
    else this.#listener.onDrained()
  }

  #ended(): void {
    this.#isEnded = true
    if (this.#listener === undefined) {
      this.#advance()
      return
    }
    // Who waits for a change and hangs up no longer waits: from now on, not from the close on.
    this.#closed()
    this.#socket.destroy()
  }

  #closed(): void {
    this.#state = 'gone'
    this.#rest = undefined
    this.#outgoing = ''
    this.#listener?.onClosed()
    this.#listener = undefined
  }

  /** Takes requests from what was read until one has to wait, or there is none. */
  #advance(): void {
    if (this.#isInTurn) return
    this.#isInTurn = true
    while (this.#state === 'reading' && this.#rest !== undefined) {
      if (this.#socket.writableNeedDrain) break
      this.#next(this.#rest)
    }
    this.#isInTurn = false
    if (this.#state === 'gone') return
    const isWaiting = this.#state === 'answering' || this.#socket.writableNeedDrain
    if (this.#rest !== undefined) this.#socket.pause()
    else if (this.#isEnded && !isWaiting) this.#finish()
    else if (this.#socket.isPaused()) this.#socket.resume()
  }

  /** The client has all its answers and sends nothing more. */
  #finish(): void {
    this.flushAnswers()
    this.#socket.end()
  }

  #next(bytes: Buffer): void {
    const request = this.#lane.parser.parse(bytes)
    if (request === undefined) {
      this.#leave()
      return
    }
    this.#rest = request.length < bytes.length ? bytes.subarray(request.length) : undefined
    this.#state = 'answering'
    this.#authorization = request.authorization
    const { method, target, before, form } = request
    this.#lane.keys.answer({ method, target, reply: this, before, form })
  }

  send(status: number, before: HeaderList, more: HeaderList, body: string): void {
    const { heads } = this.#lane
    const head = `${heads.start(status, before)}${headerText(more)}${heads.dateAndLength}`
    this.#answer(head, body, false)
  }

  sendAt(status: number, before: HeaderList, place: Place, { body, isAscii }: Body): void {
    const { heads } = this.#lane
    const { etcdIndex, raftIndex, term } = place
    const start = heads.placedStart(status, before)
    const end = heads.placedEnd(term)
    this.#answer(`${start}${etcdIndex}\r\nX-Raft-Index: ${raftIndex}${end}`, body, isAscii)
  }

  /** `head` ends where the number of bytes in the body comes. */
  #answer(head: string, body: string, isAscii: boolean): void {
    if (this.#state === 'gone' || !this.#socket.writable) return
    const bytes = isAscii ? body.length : Buffer.byteLength(body)
    if (this.#outgoing === '') {
      this.#lane.flushSoon(this)
      this.#outgoing = `${head}${bytes}${HEAD_END}${body}`
    } else this.#outgoing += `${head}${bytes}${HEAD_END}${body}`
    if (bytes !== body.length) this.#isAscii = false
    if (this.#outgoing.length > OUTGOING_LENGTH_MAX) this.flushAnswers()
    this.#state = 'reading'
    this.#advance()
  }

  /** Writes what is kept back, for the lane. Headers are ASCII: etcd's own, and origins. */
  flushAnswers(): void {
    const text = this.#outgoing
    if (text === '' || this.#state === 'gone' || !this.#socket.writable) return
    this.#outgoing = ''
    this.#socket.write(text, this.#isAscii ? 'latin1' : 'utf8')
    this.#isAscii = true
  }

  begin(before: HeaderList, place: Place, listener: PieceListener): Pieces {
    const { heads } = this.#lane
    const { etcdIndex, raftIndex, term } = place
    const start = `${heads.placedStart(200, before)}${etcdIndex}\r\nX-Raft-Index: ${raftIndex}`
    const end = `X-Raft-Term: ${term}\r\n${heads.date}Transfer-Encoding: chunked${HEAD_END}`
    this.#outgoing += `${start}\r\n${end}`
    this.#listener = listener
    this.#socket.setKeepAlive(true, KEEP_ALIVE_MS)
    return this
  }

  get mustWait(): boolean {
    return this.#socket.writableNeedDrain
  }

  flush(): void {
    this.flushAnswers()
  }

  write(text: string): void {
    this.#writeChunk(text)
    this.flushAnswers()
  }

  end(text: string): void {
    this.#listener = undefined
    if (text !== '') this.#writeChunk(text)
    this.#outgoing += '0\r\n\r\n'
    this.flushAnswers()
    if (this.#state === 'gone') return
    this.#state = 'reading'
    this.#advance()
  }

  /** RFC 9112 7.1. */
  #writeChunk(text: string): void {
    const bytes = Buffer.byteLength(text)
    this.#outgoing += `${bytes.toString(16)}\r\n${text}\r\n`
    if (bytes !== text.length) this.#isAscii = false
  }

  #leave(): void {
    const socket = this.#socket
    this.flushAnswers()
    this.#state = 'gone'
    socket.push = usualPush
    socket.off('data', this.#onData)
    socket.off('drain', this.#onDrain)
    socket.off('end', this.#onEnd)
    socket.off('close', this.#onClose)
    const rest = this.#rest
    this.#rest = undefined
    if (this.#isEnded) {
      // Nothing can be given back to a socket that has ended.
      socket.end()
      return
    }
    socket.allowHalfOpen = false
    socket.pause()
    if (rest !== undefined) socket.unshift(withEscapedTarget(rest))
    this.#lane.fallback(socket)
    socket.resume()
  }
}

/** Makes the function that takes connections. They must have been read from by nobody else. */
export function createFastLane(options: FastLaneOptions): (socket: Socket) => void {
  const lane = new Lane(options)
  return (socket) => {
    new LaneConnection(lane, socket)
  }
}
