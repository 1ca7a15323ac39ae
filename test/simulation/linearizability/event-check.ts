import { exhaustive } from '../../../src/base/invariant.js'
import type { Verdict } from './check-history.js'
import type { EventLine, FileKeyValue, HistoryLine, RequestLine } from './history-file.js'

/** The first revision at which a key can be. */
const FIRST_REVISION = 2

interface Watch {
  readonly watcher: number
  readonly key: string
  readonly end: string | undefined
  readonly startRevision: number
  /** Where the first of the watches began of which each went on where the one before ended. */
  readonly chainStart: number
  /** Everything up to here was seen. */
  reached: number
  readonly events: EventLine[]
}

interface Version {
  readonly revision: number
  /** Undefined = it was deleted. */
  readonly value: string | undefined
}

const covers = ({ key: from, end }: Watch, key: string): boolean =>
  end === undefined || end === '' ? key === from : key >= from && (end === '\0' || key < end)

/** The log as watchers saw it: what happened to each key, as far as somebody watched it. */
export class EventLog {
  readonly #versions = new Map<string, Version[]>()
  readonly #watches: readonly Watch[]

  constructor(watches: readonly Watch[]) {
    this.#watches = watches
    const known = new Map<string, EventLine>()
    for (const { events } of watches)
      for (const event of events) known.set(`${event.revision} ${event.key}`, event)
    const all = [...known.values()].sort((a, b) => a.revision - b.revision)
    for (const { key, revision, type, value } of all) {
      const versions = this.#versions.get(key) ?? []
      versions.push({ revision, value: type === 'PUT' ? value : undefined })
      this.#versions.set(key, versions)
    }
  }

  /** Whether every event of the key up to a revision is known. */
  isWatched(key: string, until: number): boolean {
    return this.#watches.some(
      (watch) =>
        covers(watch, key) &&
        watch.chainStart >= 1 &&
        watch.chainStart <= FIRST_REVISION &&
        watch.reached >= until,
    )
  }

  /** Why an answer cannot be, or undefined. */
  contradiction(line: RequestLine): string | undefined {
    switch (line.kind) {
      case 'put':
        return this.#missing(line.key, line.value, line.revision)
      case 'txn': {
        if (line.succeeded !== true) return undefined
        for (const [key, value] of line.puts) {
          const problem = this.#missing(key, value, line.revision)
          if (problem !== undefined) return problem
        }
        return undefined
      }
      case 'get':
        return this.#misread(line)
      case 'delete':
        return undefined
      default:
        return exhaustive(line)
    }
  }

  #missing(key: string, value: string, revision: number): string | undefined {
    if (!this.isWatched(key, revision)) return undefined
    const there = this.#versions.get(key)?.find((version) => version.revision === revision)
    if (there?.value === value) return undefined
    const found = there === undefined ? 'no event of the key' : `the value ${there.value}`
    return `acknowledged at revision ${revision}, where watchers saw ${found}`
  }

  #misread({
    key,
    end,
    kvs,
    revision,
  }: RequestLine & { readonly kind: 'get' }): string | undefined {
    const read = new Map<string, FileKeyValue>(kvs.map((kv) => [kv[0], kv]))
    const isSingle = end === undefined || end === ''
    const keys = new Set([...(isSingle ? [key] : this.#versions.keys()), ...read.keys()])
    for (const name of keys) {
      const isAsked = isSingle ? name === key : name >= key && (end === '\0' || name < end)
      if (!isAsked || !this.isWatched(name, revision)) continue
      const expected = this.#at(name, revision)
      const [, value, mod] = read.get(name) ?? []
      const isSame = value === expected?.value && (mod ?? 0) === (expected?.revision ?? 0)
      if (!isSame)
        return `read ${name} as ${value ?? 'absent'} of ${mod ?? 0} at revision ${revision}, where it was ${expected?.value ?? 'absent'} of ${expected?.revision ?? 0}`
    }
    return undefined
  }

  /** Undefined when the key is not there. */
  #at(key: string, revision: number): Version | undefined {
    const versions = this.#versions.get(key) ?? []
    for (let at = versions.length - 1; at >= 0; at--) {
      const version = versions[at]
      if (version === undefined || version.revision > revision) continue
      return version.value === undefined ? undefined : version
    }
    return undefined
  }
}

/** The promises of watches, and the log that they make together. */
export function checkEvents(lines: readonly HistoryLine[]): {
  readonly verdict: Verdict
  readonly log: EventLog
} {
  const watches = watchesOf(lines)
  const log = new EventLog(watches)
  const found = findBroken(lines, watches)
  const verdict: Verdict =
    found === undefined
      ? { check: 'watch', problem: undefined, window: [] }
      : { check: 'watch', ...found }
  return { verdict, log }
}

/** Events of a watcher belong to its last watch before them. */
function watchesOf(lines: readonly HistoryLine[]): readonly Watch[] {
  const watches: Watch[] = []
  const open = new Map<number, Watch>()
  for (const line of lines) {
    if (line.kind === 'watch') {
      const { watcher, key, end, startRevision } = line
      const before = open.get(watcher)
      const goesOn =
        before !== undefined &&
        before.key === key &&
        before.end === end &&
        startRevision > 0 &&
        startRevision <= before.reached + 1
      const chainStart = goesOn ? before.chainStart : startRevision
      const reached = startRevision - 1
      const watch: Watch = { watcher, key, end, startRevision, chainStart, reached, events: [] }
      watches.push(watch)
      open.set(watcher, watch)
    } else if (line.kind === 'event') {
      const watch = open.get(line.watcher)
      watch?.events.push(line)
      if (watch !== undefined) watch.reached = Math.max(watch.reached, line.revision)
    } else if (line.kind === 'progress') {
      const watch = open.get(line.watcher)
      if (watch !== undefined) watch.reached = Math.max(watch.reached, line.revision)
    }
  }
  return watches
}

interface Broken {
  readonly problem: string
  readonly window: readonly HistoryLine[]
}

function findBroken(lines: readonly HistoryLine[], watches: readonly Watch[]): Broken | undefined {
  const sent = sentValues(lines)
  const seen = new Map<string, EventLine>()
  for (const watch of watches) {
    let before: EventLine | undefined
    for (const event of watch.events) {
      const { key, revision, type, value } = event
      if (!covers(watch, key)) return { problem: 'Filter: an unwanted event', window: [event] }
      if (revision < watch.startRevision)
        return { problem: `Resumable: from before ${watch.startRevision}`, window: [event] }
      if (before !== undefined && revision < before.revision)
        return { problem: 'Ordered: a later event came before', window: [before, event] }
      if (before?.revision === revision && before.key === key)
        return { problem: 'Unique: an event came twice', window: [before, event] }
      if (type === 'PUT' && sent.size > 0 && !sent.has(value))
        return { problem: 'a value that nobody wrote', window: [event] }
      const name = `${revision} ${key}`
      const other = seen.get(name)
      if (other !== undefined && (other.type !== type || other.value !== value))
        return { problem: 'watchers saw different events', window: [other, event] }
      seen.set(name, event)
      before = event
    }
  }
  return findHole(watches, [...seen.values()])
}

/** An event that one watcher got and another, which got later ones, did not. */
function findHole(watches: readonly Watch[], events: readonly EventLine[]): Broken | undefined {
  for (const watch of watches) {
    const last = watch.events.at(-1)
    const first = watch.startRevision > 0 ? watch.startRevision : watch.events[0]?.revision
    if (last === undefined || first === undefined) continue
    const own = new Set(watch.events.map(({ revision, key }) => `${revision} ${key}`))
    for (const event of events) {
      const { revision, key } = event
      const isWithin = revision >= first && revision <= last.revision
      if (isWithin && covers(watch, key) && !own.has(`${revision} ${key}`))
        return {
          problem: `Reliable: watcher ${watch.watcher} did not see it, but a later one`,
          window: [event, last],
        }
    }
  }
  return undefined
}

function sentValues(lines: readonly HistoryLine[]): ReadonlySet<string> {
  const sent = new Set<string>()
  for (const line of lines) {
    if (line.kind === 'put') sent.add(line.value)
    else if (line.kind === 'txn') for (const [, value] of line.puts) sent.add(value)
  }
  return sent
}
