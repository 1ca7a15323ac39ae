/** A request to /v2/keys → the operation that it asks for (facts: v2-api.md 2 and 3). */
import { createV2Error, type V2Error, type V2ErrorCode } from '../base/v2-errors.js'
import { KEYS_NAMESPACE } from '../base/v2-paths.js'
import type { V2Operation } from '../wire/v2-request.js'
import { type Form, parseGoBool, parseGoUint64 } from './go-form.js'

export const KEYS_PREFIX = '/v2/keys'

/** What a request asks for; the id is given when it is proposed. */
export type KeyOperation = V2Operation

export type ParsedKeyRequest =
  | {
      readonly kind: 'operation'
      readonly operation: KeyOperation
      /** Leave the nodes out of the answer to a write that succeeded. */
      readonly noValueOnSuccess: boolean
    }
  | { readonly kind: 'error'; readonly error: V2Error }

/** A request refused before it reached the store: index 0. */
class Refusal extends Error {
  readonly error: V2Error

  constructor(code: V2ErrorCode, cause: string) {
    super(cause)
    this.error = createV2Error(code, cause, 0)
  }
}

const BAD_TTL = 202
const BAD_INDEX = 203
const BAD_FIELD = 209
const BAD_FORM = 210

function boolOf(form: Form, name: string): boolean {
  const text = form.get(name)
  if (text === undefined) return false
  const value = parseGoBool(text)
  if (value === undefined) throw new Refusal(BAD_FIELD, `invalid value for "${name}"`)
  return value
}

/** A parameter that may be absent; etcd quotes the names of these not. */
function maybeBoolOf(form: Form, name: string): boolean | undefined {
  const text = form.get(name)
  if (text === undefined) return undefined
  const value = parseGoBool(text)
  if (value === undefined) throw new Refusal(BAD_FIELD, `invalid value for ${name}`)
  return value
}

/**
 * An index. Above 2^53 - 1, which no store reaches, it is taken for 2^53 - 1: neither is ever equal
 * to the index of a node.
 */
function indexOf(form: Form, name: string): number {
  const text = form.get(name)
  if (text === undefined) return 0
  const value = parseGoUint64(text)
  if (value === undefined) throw new Refusal(BAD_INDEX, `invalid value for "${name}"`)
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(value)
}

const NANOS_PER_SECOND = 1_000_000_000n
const NANOS_PER_MILLI = 1_000_000n

/** Unix nanoseconds of `seconds` from now, wrapping around 64 bits as Go's arithmetic does. */
function expirationAfter(seconds: bigint, nowMs: number): bigint {
  const duration = BigInt.asIntN(64, seconds * NANOS_PER_SECOND)
  const wholeMs = Math.floor(nowMs)
  const now = BigInt(wholeMs) * NANOS_PER_MILLI + BigInt(Math.floor((nowMs - wholeMs) * 1_000_000))
  return BigInt.asIntN(64, now + duration)
}

function expirationOf(form: Form, nowMs: () => number): bigint | undefined {
  const text = form.get('ttl') ?? ''
  if (text === '') return undefined
  const seconds = parseGoUint64(text)
  if (seconds === undefined) throw new Refusal(BAD_TTL, 'invalid value for "ttl"')
  return expirationAfter(seconds, nowMs())
}

/** What a request without any parameter but a value asks for, as nearly all writes are. */
const plainOperation = (method: string, path: string, value: string): KeyOperation => ({
  Method: method,
  Path: storePath(path),
  Val: value,
  Dir: false,
  PrevValue: '',
  PrevIndex: 0,
  PrevExist: undefined,
  Expiration: 0n,
  Wait: false,
  Since: 0,
  Recursive: false,
  Sorted: false,
  Quorum: false,
  Time: 0n,
  Stream: false,
  Refresh: undefined,
})

function parse(options: KeyRequestParts): ParsedKeyRequest {
  const { form, method } = options
  if (options.formProblem !== undefined) throw new Refusal(BAD_FORM, options.formProblem)
  const prevIndex = indexOf(form, 'prevIndex')
  const since = indexOf(form, 'waitIndex')
  const recursive = boolOf(form, 'recursive')
  const sorted = boolOf(form, 'sorted')
  const wait = boolOf(form, 'wait')
  const dir = boolOf(form, 'dir')
  const quorum = boolOf(form, 'quorum')
  const stream = boolOf(form, 'stream')
  if (wait && method !== 'GET') {
    throw new Refusal(BAD_FIELD, '"wait" can only be used with GET requests')
  }
  const prevValue = form.get('prevValue')
  if (prevValue === '') throw new Refusal(201, '"prevValue" cannot be empty')
  const noValueOnSuccess = boolOf(form, 'noValueOnSuccess')
  const expiration = expirationOf(form, options.nowMs)
  const prevExist = maybeBoolOf(form, 'prevExist')
  const refresh = maybeBoolOf(form, 'refresh')
  const value = form.get('value') ?? ''
  if (refresh === true && value !== '') throw new Refusal(211, 'A value was provided on a refresh')
  if (refresh === true && expiration === undefined) throw new Refusal(212, 'No TTL value set')
  const operation: KeyOperation = {
    Method: method,
    Path: storePath(options.path),
    Val: value,
    Dir: dir,
    PrevValue: prevValue ?? '',
    PrevIndex: prevIndex,
    PrevExist: prevExist,
    Expiration: expiration ?? 0n,
    Wait: wait,
    Since: since,
    Recursive: recursive,
    Sorted: sorted,
    Quorum: quorum,
    Time: 0n,
    Stream: stream,
    Refresh: refresh,
  }
  return { kind: 'operation', operation, noValueOnSuccess }
}

/** `/v2/keys/a/` → `/1/a`. The path is clean already, but for a slash at its end. */
export function storePath(path: string): string {
  const key = path.slice(KEYS_PREFIX.length)
  return KEYS_NAMESPACE + (key.endsWith('/') ? key.slice(0, -1) : key)
}

export interface KeyRequestParts {
  readonly method: string
  /** Clean and decoded; begins with the prefix. */
  readonly path: string
  readonly form: Form
  /** Why the form could not be read. */
  readonly formProblem: string | undefined
  /** Wall clock, unix milliseconds: TTLs count from here. Asked only when there is one. */
  readonly nowMs: () => number
}

/** Checks in etcd's order; the first problem is the answer. */
export function parseKeyRequest(parts: KeyRequestParts): ParsedKeyRequest {
  const { method, path, form, formProblem } = parts
  const value = form.get('value')
  if (formProblem === undefined && form.size === (value === undefined ? 0 : 1)) {
    const operation = plainOperation(method, path, value ?? '')
    return { kind: 'operation', operation, noValueOnSuccess: false }
  }
  try {
    return parse(parts)
  } catch (thrown) {
    if (thrown instanceof Refusal) return { kind: 'error', error: thrown.error }
    throw thrown
  }
}
