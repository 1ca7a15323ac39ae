/** What answers to requests about keys look like on the wire (facts: v2-api.md 4 and 6). */
import type { ServerResponse } from 'node:http'
import { encodeV2Error, type V2Error, v2HttpStatus } from '../base/v2-errors.js'
import { KEYS_NAMESPACE } from '../base/v2-paths.js'
import { encodeV2Event, isCreation, type V2Event } from '../v2store/event.js'
import { answer, type HeaderList, JSON_TYPE } from './answer.js'
import type { V2Source } from './source.js'

/** Actions whose nodes `noValueOnSuccess` leaves out. */
const WRITES: ReadonlySet<string> = new Set(['set', 'create', 'update', 'compareAndSwap'])

/** `/1/a` → `/a`: what clients call the path that an error is about. */
const shownCause = (cause: string): string =>
  cause.startsWith(KEYS_NAMESPACE) ? cause.slice(KEYS_NAMESPACE.length) : cause

/** An error with the status, the index and the body that belong to it. */
export function v2ErrorAnswer(response: ServerResponse, headers: HeaderList, error: V2Error): void {
  const shown = { ...error, cause: shownCause(error.cause) }
  const more = ['Content-Type', JSON_TYPE, 'X-Etcd-Index', String(error.index)]
  answer(response, v2HttpStatus(error), [...headers, ...more], `${encodeV2Error(shown)}\n`)
}

/** An event, with the index and the place in the log that it belongs to. */
export function v2EventAnswer(
  response: ServerResponse,
  headers: HeaderList,
  event: V2Event,
  options: { readonly source: V2Source; readonly noValueOnSuccess: boolean },
): void {
  const isBare = options.noValueOnSuccess && WRITES.has(event.action)
  const body = isBare ? bareEvent(event) : encodeV2Event(event, KEYS_NAMESPACE)
  answer(
    response,
    isCreation(event) ? 201 : 200,
    [
      ...headers,
      'Content-Type',
      JSON_TYPE,
      'X-Etcd-Index',
      String(event.etcdIndex),
      'X-Raft-Index',
      String(options.source.raftIndex()),
      'X-Raft-Term',
      String(options.source.term()),
    ],
    `${body}\n`,
  )
}

const bareEvent = (event: V2Event): string =>
  `{"action":"${event.action}"${event.refresh ? ',"refresh":true' : ''}}`
