import { clusterId, type LeaseId, memberId, NO_LEASE, revision, term } from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import { latin1FromBytes } from '../base/latin1.js'
import { KeyValue } from '../wire/mvccpb.js'
import type {
  DeleteRangeRequest,
  DeleteRangeResponse,
  PutRequest,
  PutResponse,
  RangeResponse,
  RequestOp,
  ResponseHeader,
  ResponseOp,
  TxnRequest,
  TxnResponse,
} from '../wire/rpc.js'
import type { MvccStore } from './mvcc-store.js'
import type { RangeOutcome, RangeQuery } from './range-query.js'
import { evaluateRange } from './range-request.js'
import { asKeyValue } from './stored-key-value.js'
import { holds } from './txn-compare.js'
import type { TransactionResult, WriteTransaction } from './write-transaction.js'

/** Why a request was refused at apply. Nothing was changed. */
export interface WriteFailure {
  readonly kind: 'failed'
  readonly code: 'KEY_NOT_FOUND' | 'LEASE_NOT_FOUND' | 'COMPACTED' | 'FUTURE_REVISION'
}

/**
 * What a request did. The response's header has the revision only; the member fills in the rest.
 */
export type WriteOutcome<Response> =
  | Readonly<{ kind: 'done'; response: Response; result: TransactionResult }>
  | WriteFailure

/** Whether a lease exists. */
export type LeaseExists = (lease: LeaseId) => boolean
type Read = (query: RangeQuery) => RangeOutcome

const failed = (code: WriteFailure['code']): WriteFailure => ({ kind: 'failed', code })
const NO_IDS = { clusterId: clusterId(0n), memberId: memberId(0n), raftTerm: term(0) } as const
/** Written out: this runs for every put, and a spread costs a microsecond. */
const headerAt = (at: number): ResponseHeader => ({
  clusterId: NO_IDS.clusterId,
  memberId: NO_IDS.memberId,
  revision: revision(at),
  raftTerm: NO_IDS.raftTerm,
})

/**
 * Applies a put: refused when its lease, or the key that it takes value or lease from, is missing.
 */
export function applyPut(
  store: MvccStore,
  request: PutRequest,
  leaseExists: LeaseExists,
): WriteOutcome<PutResponse> {
  const code = checkPut((query) => store.range(query), request, leaseExists)
  if (code !== undefined) return failed(code)
  const transaction = store.begin()
  const response = put(transaction, request)
  return { kind: 'done', response, result: transaction.end() }
}

/** Applies a deletion; always succeeds. */
export function applyDeleteRange(
  store: MvccStore,
  request: DeleteRangeRequest,
): WriteOutcome<DeleteRangeResponse> {
  const transaction = store.begin()
  const response = deleteRange(transaction, request)
  return { kind: 'done', response, result: transaction.end() }
}

/**
 * Applies a transaction: compares on the state before, then checks every operation of the branches
 * that will run, then runs them under one revision.
 */
export function applyTxn(
  store: MvccStore,
  request: TxnRequest,
  leaseExists: LeaseExists,
): WriteOutcome<TxnResponse> {
  const read: Read = (query) => store.range(query)
  const plan = planTxn(request, read)
  const code = checkPuts(plan, read, leaseExists) ?? checkRanges(plan, store)
  if (code !== undefined) return failed(code)
  const transaction = store.begin()
  const response = run(plan, transaction)
  const result = transaction.end()
  return { kind: 'done', response: { ...response, header: headerAt(result.revision) }, result }
}

/** Evaluates a transaction without puts, deletions or nested transactions, on the newest state. */
export function readTxn(store: MvccStore, request: TxnRequest): WriteOutcome<TxnResponse> {
  invariant(isReadOnlyTxn(request), 'a transaction that writes goes through the log')
  return applyTxn(store, request, () => false)
}

/** Whether all operations of both branches are ranges; a nested transaction counts as a write. */
export function isReadOnlyTxn(request: TxnRequest): boolean {
  const isRange = (operation: RequestOp): boolean => operation.requestRange !== undefined
  return request.success.every(isRange) && request.failure.every(isRange)
}

/**
 * Whether it is read-only and every range of it may be read without asking the leader; true when
 * empty.
 */
export function isSerializableTxn(request: TxnRequest): boolean {
  const isSerializable = ({ requestRange }: RequestOp): boolean =>
    requestRange?.serializable === true
  return request.success.every(isSerializable) && request.failure.every(isSerializable)
}

/** A transaction whose comparisons have been decided. */
interface Plan {
  readonly succeeded: boolean
  readonly steps: readonly Step[]
}
type Step = Readonly<{ operation: RequestOp; nested: Plan | undefined }>

/** Decides the comparisons of the transaction and of the nested ones in the branches that run. */
function planTxn(request: TxnRequest, read: Read): Plan {
  const succeeded = request.compare.every((compare) => holds(compare, read))
  const branch = succeeded ? request.success : request.failure
  const steps = branch.map((operation) => {
    const { requestTxn } = operation
    return {
      operation,
      nested: requestTxn === undefined ? undefined : planTxn(requestTxn, read),
    }
  })
  return { succeeded, steps }
}

function checkPuts(
  plan: Plan,
  read: Read,
  leaseExists: LeaseExists,
): WriteFailure['code'] | undefined {
  for (const { operation, nested } of plan.steps) {
    const code =
      nested !== undefined
        ? checkPuts(nested, read, leaseExists)
        : operation.requestPut && checkPut(read, operation.requestPut, leaseExists)
    if (code !== undefined) return code
  }
  return undefined
}

function checkPut(
  read: Read,
  request: PutRequest,
  leaseExists: LeaseExists,
): WriteFailure['code'] | undefined {
  if (request.ignoreValue || request.ignoreLease) {
    const outcome = read({ key: latin1FromBytes(request.key), end: '', isCountOnly: true })
    if (outcome.kind === 'failed' || outcome.count === 0) return 'KEY_NOT_FOUND'
  }
  if (request.lease !== NO_LEASE && !leaseExists(request.lease)) return 'LEASE_NOT_FOUND'
  return undefined
}

function checkRanges(plan: Plan, store: MvccStore): WriteFailure['code'] | undefined {
  for (const { operation, nested } of plan.steps) {
    if (nested !== undefined) {
      const code = checkRanges(nested, store)
      if (code !== undefined) return code
    }
    const wanted = operation.requestRange?.revision ?? 0
    if (wanted === 0) continue
    if (wanted > store.currentRevision) return 'FUTURE_REVISION'
    if (wanted < store.compactedRevision) return 'COMPACTED'
  }
  return undefined
}

function run(plan: Plan, transaction: WriteTransaction): TxnResponse {
  const responses: ResponseOp[] = []
  for (const step of plan.steps) responses.push(runStep(step, transaction))
  // A nested response has a header without a revision; the outermost gets its own at the end.
  return { header: headerAt(0), succeeded: plan.succeeded, responses }
}

const NO_RESPONSE = {
  responseRange: undefined,
  responsePut: undefined,
  responseDeleteRange: undefined,
  responseTxn: undefined,
} as const satisfies ResponseOp

function runStep({ operation, nested }: Step, transaction: WriteTransaction): ResponseOp {
  if (nested !== undefined) return { ...NO_RESPONSE, responseTxn: run(nested, transaction) }
  const { requestRange, requestPut, requestDeleteRange } = operation
  if (requestRange !== undefined) {
    const evaluation = evaluateRange(requestRange, (query) => transaction.range(query))
    invariant(evaluation.kind === 'done', 'the revisions of ranges were checked before')
    const { reply } = evaluation
    const responseRange: RangeResponse = { ...reply, header: headerAt(evaluation.revision) }
    return { ...NO_RESPONSE, responseRange }
  }
  if (requestPut !== undefined) {
    return { ...NO_RESPONSE, responsePut: put(transaction, requestPut) }
  }
  invariant(requestDeleteRange !== undefined, 'an operation has a kind')
  return { ...NO_RESPONSE, responseDeleteRange: deleteRange(transaction, requestDeleteRange) }
}

function put(transaction: WriteTransaction, request: PutRequest): PutResponse {
  const { key, prevKv } = request
  let { value, lease } = request
  let previous: Uint8Array | undefined
  if (prevKv || request.ignoreValue || request.ignoreLease) {
    const outcome = transaction.range({ key: latin1FromBytes(key), end: '' })
    previous = outcome.kind === 'range' ? outcome.kvs[0] : undefined
  }
  if (request.ignoreValue || request.ignoreLease) {
    // A nested deletion may have taken the key away since it was checked; etcd ends its process
    // here.
    const old = previous === undefined ? KeyValue.create() : KeyValue.decode(previous)
    if (request.ignoreValue) value = old.value
    if (request.ignoreLease) lease = old.lease
  }
  const at = transaction.put(key, value, lease)
  return {
    header: headerAt(at),
    prevKv: prevKv && previous !== undefined ? asKeyValue(previous) : undefined,
  }
}

function deleteRange(
  transaction: WriteTransaction,
  request: DeleteRangeRequest,
): DeleteRangeResponse {
  const key = latin1FromBytes(request.key)
  const end = latin1FromBytes(request.rangeEnd)
  let prevKvs: readonly KeyValue[] = []
  if (request.prevKv) {
    const outcome = transaction.range({ key, end })
    if (outcome.kind === 'range') prevKvs = outcome.kvs.map(asKeyValue)
  }
  const deleted = transaction.deleteRange(key, end)
  return { header: headerAt(transaction.revision), deleted, prevKvs }
}
