/** Where an answer goes: to Node's response, or straight into the socket of the fast lane. */
import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { answer, type HeaderList } from './answer.js'

/** Who asks, as far as that is known without a look into the store. */
export interface Requester {
  /** The Authorization header; empty = there is none. */
  readonly authorization: string
  /** The connection, which may have come with a certificate. */
  readonly socket: Duplex
}

export interface Reply extends Requester {
  /**
   * Answers the request, once. `before` is the same array for all requests under the same rules, so
   * that its text can be kept; `more` is this answer's own.
   */
  send(status: number, before: HeaderList, more: HeaderList, body: string): void
}

/** A reply by Node's response. */
export class ResponseReply implements Reply {
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

  send(status: number, before: HeaderList, more: HeaderList, body: string): void {
    answer(this.response, status, [...before, ...more], body)
  }
}
