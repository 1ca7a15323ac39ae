import { readFileSync } from 'node:fs'

/** Fields that every request has; times are microseconds of one clock. */
interface Request {
  readonly client: number
  readonly calledUs: number
  /** Null when no answer came, or one that leaves open what happened. */
  readonly returnedUs: number | null
  /** The store's revision in the answer; 0 when there is none. */
  readonly revision: number
}

/** Key, value, mod revision. */
export type FileKeyValue = readonly [key: string, value: string, mod: number]

export type HistoryLine =
  | (Request & {
      readonly kind: 'put'
      readonly key: string
      readonly value: string
      /** The key hangs on a lease, so it may go without a request. */
      readonly lease?: boolean
    })
  | (Request & { readonly kind: 'delete'; readonly key: string; readonly end?: string })
  | (Request & {
      readonly kind: 'get'
      readonly key: string
      readonly end?: string
      readonly serializable?: boolean
      readonly kvs: readonly FileKeyValue[]
    })
  | (Request & {
      readonly kind: 'txn'
      /** What the key's mod revision must be; absent = nothing must be. */
      readonly compare?: { readonly key: string; readonly mod: number }
      readonly puts: readonly (readonly [key: string, value: string])[]
      readonly deletes: readonly string[]
      /** Absent when it is not known. */
      readonly succeeded?: boolean
    })
  | {
      readonly kind: 'watch'
      readonly watcher: number
      readonly key: string
      readonly end?: string
      readonly startRevision: number
    }
  | {
      /** The watcher has seen everything up to a revision. */
      readonly kind: 'progress'
      readonly watcher: number
      readonly revision: number
    }
  | {
      readonly kind: 'event'
      readonly watcher: number
      readonly revision: number
      readonly type: 'PUT' | 'DELETE'
      readonly key: string
      readonly value: string
    }

export type RequestLine = Exclude<HistoryLine, { readonly kind: 'watch' | 'progress' | 'event' }>
export type EventLine = HistoryLine & { readonly kind: 'event' }

const FIELDS: Readonly<Record<HistoryLine['kind'], readonly string[]>> = {
  put: ['client', 'calledUs', 'returnedUs', 'revision', 'key', 'value'],
  delete: ['client', 'calledUs', 'returnedUs', 'revision', 'key'],
  get: ['client', 'calledUs', 'returnedUs', 'revision', 'key', 'kvs'],
  txn: ['client', 'calledUs', 'returnedUs', 'revision', 'puts', 'deletes'],
  watch: ['watcher', 'key', 'startRevision'],
  progress: ['watcher', 'revision'],
  event: ['watcher', 'revision', 'type', 'key', 'value'],
}

/** A line that is no line of a history. */
export class HistoryFileError extends Error {
  override readonly name = 'HistoryFileError'
}

/** Reads JSON lines (docs/formats/history.md); empty lines are left out. */
export function readHistory(path: string): HistoryLine[] {
  return parseHistory(readFileSync(path, 'utf8'))
}

export function parseHistory(text: string): HistoryLine[] {
  const lines: HistoryLine[] = []
  text.split('\n').forEach((line, at) => {
    if (line.trim() !== '') lines.push(parseLine(line, at + 1))
  })
  return lines
}

function parseLine(line: string, number: number): HistoryLine {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    throw new HistoryFileError(`line ${number} is no JSON`)
  }
  if (typeof value !== 'object' || value === null)
    throw new HistoryFileError(`line ${number} is no object`)
  const { kind } = value as { kind?: unknown }
  const fields = typeof kind === 'string' ? FIELDS[kind as HistoryLine['kind']] : undefined
  if (fields === undefined) throw new HistoryFileError(`line ${number} is of no known kind`)
  for (const field of fields) {
    if (!(field in value)) throw new HistoryFileError(`line ${number} lacks "${field}"`)
  }
  return value as HistoryLine
}

export const isRequest = (line: HistoryLine): line is RequestLine =>
  line.kind !== 'watch' && line.kind !== 'progress' && line.kind !== 'event'
