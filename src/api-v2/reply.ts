/** Where an answer goes: to Node's response, or straight into the socket of the fast lane. */
import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { answer, type HeaderList, JSON_TYPE, keepQuietAboutConnection } from './answer.js'

/** Who asks, as far as that is known without a look into the store. */
export interface Requester {
  /** The Authorization header; empty = there is none. */
  readonly authorization: string
  /** The connection, which may have come with a certificate. */
  readonly socket: Duplex
}

/** The headers that an answer about keys has of its own. */
export interface Place {
  /** The store's index. */
  readonly etcdIndex: number
  /** What the log has committed. */
  readonly raftIndex: number
  readonly term: number
}

/** The body of an answer. */
export interface Body {
  readonly body: string
  /** Whether it is known to be ASCII: its bytes need not be counted then. */
  readonly isAscii: boolean
}

/** Who is told how an answer in pieces goes on. */
export interface PieceListener {
  /** The client is gone: nothing more can be written. */
  onClosed(): void
  /** A client that was slow has taken what was written. */
  onDrained(): void
}

/** An answer that comes in pieces. */
export interface Pieces {
  /** Whether the client has yet to take what was written: `onDrained` tells when it has. */
  readonly mustWait: boolean
  /** Sends the head now, if it has not left with a piece. */
  flush(): void
  write(text: string): void
  /** Ends the answer, with a last piece unless `text` is empty. */
  end(text: string): void
}

export interface Reply extends Requester {
  /** Whether the client hung up: nobody waits for what may come later. */
  readonly isGone: boolean
  /** Ends the connection instead of an answer. */
  drop(): void
  /**
   * Answers the request, once. `before` is the same array for all requests under the same rules, so
   * that its text can be kept; `more` is this answer's own.
   */
  send(status: number, before: HeaderList, more: HeaderList, body: string): void
  /** The same for what all requests about keys end in: JSON and a place. */
  sendAt(status: number, before: HeaderList, place: Place, body: Body): void
  /** Begins an answer in pieces; its head waits for the first piece or `flush`. */
  begin(before: HeaderList, place: Place, listener: PieceListener): Pieces
}

const placeHeaders = ({ etcdIndex, raftIndex, term }: Place): HeaderList => [
  ...['Content-Type', JSON_TYPE, 'X-Etcd-Index', String(etcdIndex)],
  ...['X-Raft-Index', String(raftIndex), 'X-Raft-Term', String(term)],
]

/** A client that vanished without a word is noticed by TCP after this much silence, ms. */
export const KEEP_ALIVE_MS = 30_000

/** A reply by Node's response. */
export class ResponseReply implements Reply, Pieces {
  readonly response: ServerResponse

  constructor(response: ServerResponse) {
    this.response = response
  }

  get authorization(): string {
    return this.response.req.headers.authorization ?? ''
  }

  get socket(): Duplex {
    return this.response.req.socket
  }

  get isGone(): boolean {
    return this.response.req.socket.destroyed
  }

  drop(): void {
    this.response.req.socket.destroy()
  }

  send(status: number, before: HeaderList, more: HeaderList, body: string): void {
    answer(this.response, status, [...before, ...more], body)
  }

  sendAt(status: number, before: HeaderList, place: Place, { body }: Body): void {
    this.send(status, before, placeHeaders(place), body)
  }

  begin(before: HeaderList, place: Place, listener: PieceListener): Pieces {
    const { response } = this
    keepQuietAboutConnection(response)
    response.writeHead(200, [...before, ...placeHeaders(place)])
    response.socket?.setKeepAlive(true, KEEP_ALIVE_MS)
    response.once('close', () => listener.onClosed())
    response.on('drain', () => listener.onDrained())
    return this
  }

  get mustWait(): boolean {
    return this.response.writableNeedDrain
  }

  flush(): void {
    this.response.flushHeaders()
  }

  write(text: string): void {
    this.response.write(text)
  }

  end(text: string): void {
    this.response.end(text)
  }
}
