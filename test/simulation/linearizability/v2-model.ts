import { openEntry } from '../../../src/wire/raft-envelope.js'
import type { Entry } from '../../../src/wire/raftpb.js'
import type { V2Request } from '../../../src/wire/v2-request.js'

/** Under this path are the keys of the workload. */
export const V2_WORK = '/1/work/'

const KEY_NOT_FOUND = 'error 100'
const COMPARE_FAILED = 'error 101'
const NODE_EXISTS = 'error 105'

interface V2Value {
  readonly value: string
  /** Unix nanoseconds; 0n = never. */
  readonly expiration: bigint
}

/** What an entry came to. */
export interface V2Step {
  readonly index: number
  readonly request: V2Request
  readonly response: string
}

/** Plain files of the v2 store as its documentation describes them: a map, and the rules of conditions. */
export class V2Model {
  readonly #values = new Map<string, V2Value>()
  /** By the mark that a client put on its request. */
  readonly steps = new Map<number, V2Step>()
  /** Every value that a key ever had. */
  readonly #past = new Map<string, Set<string | undefined>>()
  duplicate: string | undefined
  /** What changed, in its order: the path, and what was done there. */
  readonly changes: string[] = []

  apply(entry: Entry): void {
    if (entry.type !== 'EntryNormal') return
    const opened = openEntry(entry.data)
    if (opened.kind !== 'v2') return
    const { request } = opened
    if (request.Method === 'SYNC') this.#expire(request.Time)
    if (!request.Path.startsWith(V2_WORK)) return
    const before = this.steps.get(request.Since)
    if (before !== undefined)
      this.duplicate ??= `request ${request.Since} is at ${before.index} and at ${entry.index}`
    const response = this.#evaluate(request)
    if (!response.startsWith('error') && request.Method !== 'QGET')
      this.changes.push(`${request.Path} ${response}`)
    this.steps.set(request.Since, { index: entry.index, request, response })
  }

  /** What is there now; undefined when nothing is. */
  value(path: string): string | undefined {
    return this.#values.get(path)?.value
  }

  /** Whether the key ever had this value; undefined = whether it ever was not there. */
  everHad(path: string, value: string | undefined): boolean {
    return value === undefined || (this.#past.get(path)?.has(value) ?? false)
  }

  #evaluate(request: V2Request): string {
    const { Method: method, Path: path, Val: value, PrevValue: wanted } = request
    const found = this.#values.get(path)
    switch (method) {
      case 'QGET':
        return found === undefined ? KEY_NOT_FOUND : `get ${found.value}`
      case 'DELETE':
        if (found === undefined) return KEY_NOT_FOUND
        if (wanted !== '' && wanted !== found.value) return COMPARE_FAILED
        this.#values.delete(path)
        return `${wanted === '' ? 'delete' : 'compareAndDelete'} was ${found.value}`
      case 'PUT': {
        if (request.PrevExist === false && found !== undefined) return NODE_EXISTS
        const mustExist = request.PrevExist === true || wanted !== ''
        if (mustExist && found === undefined) return KEY_NOT_FOUND
        if (wanted !== '' && wanted !== found?.value) return COMPARE_FAILED
        this.#set(path, { value, expiration: request.Expiration })
        return `${actionOf(request)} ${value}${found === undefined ? '' : ` was ${found.value}`}`
      }
      default:
        return 'unknown'
    }
  }

  #set(path: string, value: V2Value): void {
    this.#values.set(path, value)
    const past = this.#past.get(path) ?? new Set()
    past.add(value.value)
    this.#past.set(path, past)
  }

  #expire(time: bigint): void {
    const ended = [...this.#values].filter(
      ([, { expiration }]) => expiration !== 0n && expiration <= time,
    )
    // No two end at the same nanosecond.
    ended.sort(([, a], [, b]) => (a.expiration < b.expiration ? -1 : 1))
    for (const [path, { value }] of ended) {
      this.#values.delete(path)
      this.changes.push(`${path} expire was ${value}`)
    }
  }
}

function actionOf({ PrevExist: prevExist, PrevValue: prevValue }: V2Request): string {
  if (prevExist === false) return 'create'
  if (prevValue !== '') return 'compareAndSwap'
  return prevExist === true ? 'update' : 'set'
}
