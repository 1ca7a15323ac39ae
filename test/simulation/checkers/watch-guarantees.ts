import { describeKeyValue } from '../describe-response.js'
import type { Model, ModelEvent } from '../linearizability/model.js'
import type { WatchRecord } from '../workload/watch-client.js'

/** What a watch should be told of one event of the model, in words; undefined when it is filtered. */
function expected(event: ModelEvent, at: number, record: WatchRecord): string | undefined {
  const isInRange =
    record.end === '' ? event.key === record.key : event.key >= record.key && event.key < record.end
  if (!isInRange) return undefined
  if (event.kind === 'PUT' && record.noPut) return undefined
  if (event.kind === 'DELETE' && record.noDelete) return undefined
  const kv = event.kv === undefined ? '' : describeKeyValue(event.kv)
  return `${at} ${event.kind} ${event.key} ${kv}`
}

/**
 * The guarantees of watches: ordered, unique, atomic, nothing left out (Reliable, Resumable), filtered, previous
 * values right, and progress never ahead of events (Bookmarkable). Returns what is wrong, or undefined.
 */
export function checkWatch(record: WatchRecord, model: Model): string | undefined {
  const name = `watcher ${record.watcher} at member ${record.place} from ${record.startRevision}`
  let seen: number | undefined = record.startRevision === 0 ? undefined : record.startRevision - 1
  for (const news of record.news) {
    switch (news.kind) {
      case 'created':
        seen ??= news.revision
        break
      case 'compacted': {
        const isReal = model.compactions.some(({ revision }) => revision === news.compactRevision)
        if (!isReal)
          return `${name}: cancelled at ${news.compactRevision}, which was never compacted`
        if (seen !== undefined && seen + 1 >= news.compactRevision)
          return `${name}: cancelled as compacted at ${news.compactRevision}, but it had seen ${seen}`
        break
      }
      case 'progress': {
        if (news.revision > model.revision)
          return `${name}: progress at ${news.revision} of ${model.revision}`
        const missed = firstMissed(record, model, (seen ?? 0) + 1, news.revision)
        if (missed !== undefined) return `${name}: progress at ${news.revision} ahead of ${missed}`
        seen = Math.max(seen ?? 0, news.revision)
        break
      }
      case 'events': {
        const problem = checkEvents(record, model, news, seen ?? 0)
        if (problem !== undefined) return `${name}: ${problem}`
        seen = news.events.at(-1)?.mod ?? seen
        break
      }
    }
  }
  return undefined
}

function firstMissed(
  record: WatchRecord,
  model: Model,
  from: number,
  to: number,
): string | undefined {
  for (let at = from; at <= to; at++) {
    for (const event of model.events.get(at) ?? []) {
      const text = expected(event, at, record)
      if (text !== undefined) return text
    }
  }
  return undefined
}

function checkEvents(
  record: WatchRecord,
  model: Model,
  news: WatchRecord['news'][number],
  seen: number,
): string | undefined {
  const last = news.events.at(-1)?.mod ?? 0
  const first = news.events[0]?.mod ?? 0
  if (first <= seen) return `event of ${first} after ${seen} was seen`
  if (news.revision < last) return `events of ${last} under a header of ${news.revision}`
  const wanted: string[] = []
  const previous: (string | undefined)[] = []
  for (let at = seen + 1; at <= last; at++) {
    for (const event of model.events.get(at) ?? []) {
      const text = expected(event, at, record)
      if (text === undefined) continue
      wanted.push(text)
      previous.push(event.previous === undefined ? undefined : describeKeyValue(event.previous))
    }
  }
  const got = news.events.map((event) => {
    const kv = event.type === 'DELETE' ? '' : event.kv
    return `${event.mod} ${event.type} ${event.key} ${kv}`
  })
  for (let at = 0; at < Math.max(wanted.length, got.length); at++) {
    if (wanted[at] !== got[at]) return `got event ${got[at]}, expected ${wanted[at]}`
    const given = news.events[at]?.previous
    // What was compacted away meanwhile may be missing.
    if (given !== undefined && !record.wantsPrevious) return 'an unwanted previous value'
    if (given !== undefined && given !== previous[at])
      return `previous value ${given}, expected ${previous[at]} of ${got[at]}`
    const isMissing = record.wantsPrevious && given === undefined && previous[at] !== undefined
    const mod = news.events[at]?.mod ?? 0
    if (isMissing && mod - 1 >= model.compacted) return `no previous value for ${got[at]}`
  }
  return undefined
}
