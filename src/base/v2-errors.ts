/**
 * The errors of the v2 API: code, message and HTTP status as etcd has them (facts: v2-api.md 6).
 */
import { quoteGo } from './go-json.js'

interface V2ErrorDefinition {
  readonly message: string
  readonly httpStatus: number
}

const define = (message: string, httpStatus = 400): V2ErrorDefinition => ({ message, httpStatus })

/**
 * Every code that etcd 2.3 to 3.5 can name, by number. Some are historic and never sent any more.
 */
export const v2Errors = {
  100: define('Key not found', 404),
  101: define('Compare failed', 412),
  102: define('Not a file', 403),
  103: define('Reached the max number of peers in the cluster'),
  104: define('Not a directory'),
  105: define('Key already exists', 412),
  106: define('The prefix of given key is a keyword in etcd'),
  107: define('Root is read only'),
  108: define('Directory not empty', 403),
  109: define('Peer address has existed'),
  110: define('The request requires user authentication', 401),
  200: define('Value is Required in POST form'),
  201: define('PrevValue is Required in POST form'),
  202: define('The given TTL in POST form is not a number'),
  203: define('The given index in POST form is not a number'),
  204: define('Value or TTL is required in POST form'),
  205: define('The given timeout in POST form is not a number'),
  206: define('Name is required in POST form'),
  207: define('Index or value is required'),
  208: define('Index and value cannot both be specified'),
  209: define('Invalid field'),
  210: define('Invalid POST form'),
  211: define('Value provided on refresh'),
  212: define('A TTL must be provided on refresh'),
  300: define('Raft Internal Error', 500),
  301: define('During Leader Election', 500),
  400: define('watcher is cleared due to etcd recovery'),
  401: define('The event in requested index is outdated and cleared'),
  402: define('Standby Internal Error'),
  403: define('Invalid active size'),
  404: define('Standby remove delay'),
  500: define('Client Internal Error'),
} as const satisfies Record<number, V2ErrorDefinition>

export type V2ErrorCode = keyof typeof v2Errors

/** The codes that the store itself gives, by what they mean. */
export const V2_CODES = {
  keyNotFound: 100,
  compareFailed: 101,
  notAFile: 102,
  notADirectory: 104,
  keyExists: 105,
  rootIsReadOnly: 107,
  directoryNotEmpty: 108,
  eventIndexCleared: 401,
} as const satisfies Record<string, V2ErrorCode>

/** One failure of a v2 operation, as a value. */
export interface V2Error {
  readonly code: V2ErrorCode
  readonly message: string
  /** What it was about (a path, a comparison); empty = left out of the answer. */
  readonly cause: string
  /** The store's index when it failed; 0 for errors of parsing. */
  readonly index: number
}

/** Makes an error value with the message that belongs to `code`. */
export function createV2Error(code: V2ErrorCode, cause: string, index: number): V2Error {
  return { code, message: v2Errors[code].message, cause, index }
}

/** The HTTP status that etcd answers `error` with. */
export const v2HttpStatus = (error: V2Error): number => v2Errors[error.code].httpStatus

/** The body of an answer, without the newline that follows it on the wire. */
export function encodeV2Error(error: V2Error): string {
  const cause = error.cause === '' ? '' : `,"cause":${quoteGo(error.cause)}`
  const message = `"message":${quoteGo(error.message)}`
  return `{"errorCode":${error.code},${message}${cause},"index":${error.index}}`
}
