import { describeKeyValue } from '../describe-response.js'
import type { Model, ModelEvent } from '../linearizability/model.js'
import type { WatchedEvent, WatchNews, WatchRecord } from '../workload/watch-client.js'

/**
 * What a watch promises, by the names that etcd gives it:
 * - Filter: only what was asked for comes.
 * - Ordered: events come in the order of their revisions.
 * - Unique: no event comes twice, over reconnections too.
 * - Atomic: the events of one revision come together.
 * - Bookmarkable: a progress notification is never ahead of an event.
 * - Resumable: a watch from a revision begins with the first event at or behind it.
 * - Reliable: no event between two that came is left out.
 * - IsCreate: a put says rightly whether it made its key.
 * - PrevKV: the value before an event is the one that was there.
 */
export type WatchGuarantee =
  | 'Filter'
  | 'Ordered'
  | 'Unique'
  | 'Atomic'
  | 'Bookmarkable'
  | 'Resumable'
  | 'Reliable'
  | 'IsCreate'
  | 'PrevKV'

/** An event as a watch is to be told of it, and whether its filters let it through. */
interface Expected {
  readonly at: number
  readonly event: ModelEvent
}

/** The watch's own view while it is gone through. */
interface Progress {
  /** Everything up to here was told, or not asked for. */
  seen: number
  hasEvents: boolean
}

/** What is wrong with one watch: the guarantee that is broken and how; undefined when nothing is. */
export function checkWatch(record: WatchRecord, model: Model): string | undefined {
  const { startRevision } = record
  const name = `watcher ${record.watcher} at member ${record.place} from ${startRevision}`
  const progress: Progress = { seen: startRevision - 1, hasEvents: false }
  let isBegun = startRevision !== 0
  for (const news of record.news) {
    if (news.kind === 'created' && !isBegun) {
      progress.seen = news.revision
      isBegun = true
    }
    const wrong = checkNews(record, model, news, progress)
    if (wrong !== undefined) return `${wrong.guarantee}: ${name}: ${wrong.how}`
  }
  return undefined
}

interface Broken {
  readonly guarantee: WatchGuarantee
  readonly how: string
}
const broken = (guarantee: WatchGuarantee, how: string): Broken => ({ guarantee, how })

function checkNews(
  record: WatchRecord,
  model: Model,
  news: WatchNews,
  progress: Progress,
): Broken | undefined {
  switch (news.kind) {
    case 'created':
      return undefined
    case 'compacted':
      return checkCancel(model, news.compactRevision, progress)
    case 'progress':
      return checkProgress(record, model, news.revision, progress)
    case 'events':
      return checkEvents(record, model, news, progress)
  }
}

function checkCancel(model: Model, at: number, { seen }: Progress): Broken | undefined {
  if (!model.compactions.some(({ revision }) => revision === at))
    return broken('Resumable', `cancelled at ${at}, which was never compacted`)
  return seen + 1 >= at
    ? broken('Resumable', `cancelled as compacted at ${at}, but it had seen ${seen}`)
    : undefined
}

function checkProgress(
  record: WatchRecord,
  model: Model,
  at: number,
  progress: Progress,
): Broken | undefined {
  if (at > model.revision)
    return broken('Bookmarkable', `progress at ${at}, the store is at ${model.revision}`)
  const [missed] = expectedOf(record, model, progress.seen + 1, at)
  if (missed !== undefined)
    return broken('Bookmarkable', `progress at ${at} ahead of ${describe(missed)}`)
  progress.seen = Math.max(progress.seen, at)
  return undefined
}

function checkEvents(
  record: WatchRecord,
  model: Model,
  { events, revision }: WatchNews,
  progress: Progress,
): Broken | undefined {
  const last = events.at(-1)?.mod ?? 0
  if (revision < last)
    return broken('Bookmarkable', `events of ${last} under a header of ${revision}`)
  let before = 0
  for (const event of events) {
    const { key, mod } = event
    if (!isWanted(record, event)) return broken('Filter', `${event.type} ${key} at ${mod}`)
    if (mod < before) return broken('Ordered', `${mod} behind ${before}`)
    if (mod <= progress.seen && (progress.hasEvents || record.startRevision > 0))
      return broken('Unique', `event of ${mod} after ${progress.seen} was seen`)
    before = mod
  }
  const wanted = expectedOf(record, model, progress.seen + 1, last)
  for (let at = 0; at < Math.max(wanted.length, events.length); at++) {
    const wrong = compare(record, model, events[at], wanted[at], progress)
    if (wrong !== undefined) return wrong
  }
  progress.seen = last
  progress.hasEvents = true
  return undefined
}

function compare(
  record: WatchRecord,
  model: Model,
  event: WatchedEvent | undefined,
  expected: Expected | undefined,
  progress: Progress,
): Broken | undefined {
  if (event === undefined || expected === undefined || !isSame(event, expected)) {
    const how = `got ${describeEvent(event)}, expected ${describe(expected)}`
    // What is wanted ends with the revision of the last event: the end of that is missing.
    const isCut = event === undefined || event.mod === expected?.at
    if (isCut || expected === undefined) return broken('Atomic', how)
    return broken(progress.hasEvents ? 'Reliable' : 'Resumable', how)
  }
  const { kv } = expected.event
  if (kv !== undefined && event.kv !== describeKeyValue(kv)) {
    const isCreate = kv.create === kv.mod
    const guarantee = event.isCreate === isCreate ? 'Reliable' : 'IsCreate'
    return broken(guarantee, `got ${describeEvent(event)}, expected ${describe(expected)}`)
  }
  return comparePrevious(record, model, event, expected)
}

function comparePrevious(
  { wantsPrevious }: WatchRecord,
  model: Model,
  { previous, mod }: WatchedEvent,
  expected: Expected,
): Broken | undefined {
  const before = expected.event.previous
  if (previous !== undefined) {
    if (!wantsPrevious) return broken('PrevKV', 'an unwanted previous value')
    const wanted = before === undefined ? undefined : describeKeyValue(before)
    return previous === wanted
      ? undefined
      : broken('PrevKV', `${previous}, expected ${wanted} before ${describe(expected)}`)
  }
  // What was compacted away meanwhile may be missing.
  const isMissing = wantsPrevious && before !== undefined && mod - 1 >= model.compacted
  return isMissing ? broken('PrevKV', `none for ${describe(expected)}`) : undefined
}

const isSame = ({ mod, type, key }: WatchedEvent, { at, event }: Expected): boolean =>
  mod === at && type === event.kind && key === event.key

function isWanted(
  { key: from, end, noPut, noDelete }: WatchRecord,
  { type, key }: { readonly type: string; readonly key: string },
): boolean {
  const isInRange = end === '' ? key === from : key >= from && key < end
  return isInRange && !(type === 'PUT' ? noPut : noDelete)
}

/** What the watch is to be told of the revisions from `from` to `to`, in order. */
function expectedOf(record: WatchRecord, model: Model, from: number, to: number): Expected[] {
  const found: Expected[] = []
  for (let at = from; at <= to; at++) {
    for (const event of model.events.get(at) ?? []) {
      if (isWanted(record, { type: event.kind, key: event.key })) found.push({ at, event })
    }
  }
  return found
}

const describe = (expected: Expected | undefined): string => {
  if (expected === undefined) return 'nothing'
  const { at, event } = expected
  return `${at} ${event.kind} ${event.key} ${event.kv === undefined ? '' : describeKeyValue(event.kv)}`
}
const describeEvent = (event: WatchedEvent | undefined): string =>
  event === undefined
    ? 'nothing'
    : `${event.mod} ${event.type} ${event.key} ${event.type === 'DELETE' ? '' : event.kv}`
