/**
 * Branded primitives. Counters are numbers (safe up to 2^53 - 1, proven at the codec); identities
 * that use all 64 bits are bigints. Arithmetic on ids happens in this file only.
 */
declare const brand: unique symbol
type Branded<T, Name extends string> = T & { readonly [brand]: Name }

/** Position in the Raft log. 1-based; 0 = "before the first entry". At most 2^53 - 1. */
export type LogIndex = Branded<number, 'LogIndex'>
/** Election epoch, from 1; 0 = "no term yet" (also carried by local messages). Never decreases. */
export type Term = Branded<number, 'Term'>
/** Main revision of the key-value store. An empty store is at 1; the first change makes 2. */
export type Revision = Branded<number, 'Revision'>
/** Identity of a member: 64 bits, unsigned. 0n = "none". */
export type MemberId = Branded<bigint, 'MemberId'>
/** Identity of a cluster: 64 bits, unsigned. */
export type ClusterId = Branded<bigint, 'ClusterId'>
/**
 * Identity of a lease: a signed 64-bit number, positive when the server picks it. 0n = "no lease".
 */
export type LeaseId = Branded<bigint, 'LeaseId'>
/** Identity of a proposal: 64 bits, unsigned; unique among the members while it matters. */
export type RequestId = Branded<bigint, 'RequestId'>

export const NO_MEMBER = 0n as MemberId
export const NO_LEASE = 0n as LeaseId
export const ZERO_INDEX = 0 as LogIndex
export const ZERO_TERM = 0 as Term

export const logIndex = (value: number): LogIndex => value as LogIndex
export const term = (value: number): Term => value as Term
export const revision = (value: number): Revision => value as Revision
export const memberId = (value: bigint): MemberId => value as MemberId
export const clusterId = (value: bigint): ClusterId => value as ClusterId
export const leaseId = (value: bigint): LeaseId => value as LeaseId
export const requestId = (value: bigint): RequestId => value as RequestId

export const nextIndex = (index: LogIndex): LogIndex => (index + 1) as LogIndex
export const previousIndex = (index: LogIndex): LogIndex => (index - 1) as LogIndex
export const addIndex = (index: LogIndex, count: number): LogIndex => (index + count) as LogIndex
export const nextTerm = (value: Term): Term => (value + 1) as Term
export const nextRevision = (value: Revision): Revision => (value + 1) as Revision

/** Ids as etcd prints them: lower-case hex without leading zeros (facts: http.md). */
export const idToHex = (id: bigint): string => BigInt.asUintN(64, id).toString(16)

/** Reads what `idToHex` writes; `undefined` when the text is not 1 to 16 hex digits. */
export function parseHexId(text: string): bigint | undefined {
  return /^[0-9a-fA-F]{1,16}$/.test(text) ? BigInt(`0x${text}`) : undefined
}
