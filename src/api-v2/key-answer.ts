/** What answers to requests about keys look like on the wire (facts: v2-api.md 4 and 6). */
import { Quoter } from '../base/go-json.js'
import { encodeV2Error, type V2Error, v2HttpStatus } from '../base/v2-errors.js'
import { KEYS_NAMESPACE } from '../base/v2-paths.js'
import { encodeV2Event, isCreation, type V2Event } from '../v2store/event.js'
import { type HeaderList, JSON_TYPE } from './answer.js'
import type { Reply } from './reply.js'
import type { V2Source } from './source.js'

/** Actions whose nodes `noValueOnSuccess` leaves out. */
const WRITES: ReadonlySet<string> = new Set(['set', 'create', 'update', 'compareAndSwap'])

/** `/1/a` → `/a`: what clients call the path that an error is about. */
const shownCause = (cause: string): string =>
  cause.startsWith(KEYS_NAMESPACE) ? cause.slice(KEYS_NAMESPACE.length) : cause

/** An error with the status, the index and the body that belong to it. */
export function v2ErrorAnswer(reply: Reply, headers: HeaderList, error: V2Error): void {
  const shown = { ...error, cause: shownCause(error.cause) }
  const more = ['Content-Type', JSON_TYPE, 'X-Etcd-Index', String(error.index)]
  reply.send(v2HttpStatus(error), headers, more, `${encodeV2Error(shown)}\n`)
}

/** An event, with the index and the place in the log that it belongs to. */
export function v2EventAnswer(
  reply: Reply,
  headers: HeaderList,
  event: V2Event,
  options: { readonly source: V2Source; readonly noValueOnSuccess: boolean },
): void {
  const { source } = options
  const isBare = options.noValueOnSuccess && WRITES.has(event.action)
  const quoter = new Quoter()
  const body = isBare ? `{"action":"${event.action}"}\n` : eventLine(event, quoter)
  const place = {
    etcdIndex: event.etcdIndex,
    raftIndex: source.raftIndex(),
    term: source.term(),
  }
  reply.sendAt(isCreation(event) ? 201 : 200, headers, place, { body, isAscii: quoter.isAscii })
}

/**
 * An event as clients get it, with its newline. That it was a refresh they are not told. `quoter`
 * knows afterwards whether it is ASCII.
 */
export function eventLine(event: V2Event, quoter = new Quoter()): string {
  const shown = event.refresh ? { ...event, refresh: false } : event
  return `${encodeV2Event(shown, KEYS_NAMESPACE, quoter)}\n`
}
