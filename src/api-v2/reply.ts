/** Where an answer goes: to Node's response, or straight into the socket of the fast lane. */
import type { ServerResponse } from 'node:http'
import { answer, type HeaderList } from './answer.js'

export interface Reply {
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

  send(status: number, before: HeaderList, more: HeaderList, body: string): void {
    answer(this.response, status, [...before, ...more], body)
  }
}
