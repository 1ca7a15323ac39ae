import { DaemonError, type ErrorCode, errors } from '../base/errors.js'
import type { Member } from '../member/member.js'
import type {
  CallContext,
  ClientStreamMethod,
  GrpcStatus,
  RequestListener,
  RpcFailure,
  RpcMethod,
  StreamCall,
  UnaryCall,
} from '../ports/rpc.js'
import type { Codec } from '../wire/codec.js'

/** What the services share. */
export interface ServiceContext {
  readonly member: Member
  /** Largest request that may become a log entry, bytes (`--max-request-bytes`). */
  readonly requestBytesMax: number
  /** Most operations in a transaction, at each level (`--max-txn-ops`). */
  readonly txnOpsMax: number
}

/** How a catalogue error is sent. */
export function failureOf(code: ErrorCode): RpcFailure {
  const { grpc, message } = errors[code]
  return { status: grpc as GrpcStatus, message }
}

/** How anything thrown is sent: the cause stays here. */
export function failureOfThrown(thrown: unknown): RpcFailure {
  const error = DaemonError.from(thrown)
  return { status: error.grpcStatus as GrpcStatus, message: error.message }
}

/** What a learner may answer (facts: v3-api.md 2). */
type LearnerRule = 'refused-on-learner' | 'allowed-on-learner'

/** Why this call is refused before its request is looked at; undefined = go on. */
export function refusalOf(
  member: Member,
  call: CallContext,
  learnerRule: LearnerRule,
): ErrorCode | undefined {
  if (!member.isServing) return 'STOPPED'
  if (member.isLearner && learnerRule === 'refused-on-learner') return 'LEARNER_RPC_NOT_SUPPORTED'
  if (member.leaderId === 0n && call.metadata('hasleader') === 'true') return 'NO_LEADER'
  return undefined
}

/** A unary method: common refusals first, then `handle`. */
export function unary<Request, Response>(
  context: ServiceContext,
  path: string,
  codecs: {
    readonly request: Codec<Request, unknown>
    readonly response: Codec<unknown, Response>
  },
  handle: (request: Request, call: UnaryCall<Response>, bytes: Uint8Array) => void,
  learnerRule: LearnerRule = 'refused-on-learner',
): RpcMethod {
  return {
    kind: 'unary',
    path,
    request: codecs.request,
    response: codecs.response,
    handle: (request: Request, call: UnaryCall<Response>, bytes: Uint8Array): void => {
      const refusal = refusalOf(context.member, call, learnerRule)
      if (refusal === undefined) handle(request, call, bytes)
      else call.fail(failureOf(refusal))
    },
  } as RpcMethod
}

const deaf: RequestListener<unknown> = {
  onRequest: () => undefined,
  onRequestsEnd: () => undefined,
}

/** A method with a stream of requests and one of responses. */
export function bidiStream<Request, Response>(
  context: ServiceContext,
  path: string,
  codecs: {
    readonly request: Codec<Request, unknown>
    readonly response: Codec<unknown, Response>
  },
  handle: (call: StreamCall<Response>) => RequestListener<Request>,
): RpcMethod {
  const method: ClientStreamMethod<Request, Response> = {
    kind: 'bidi-stream',
    path,
    request: codecs.request,
    response: codecs.response,
    handle: (call) => {
      const refusal = refusalOf(context.member, call, 'refused-on-learner')
      if (refusal === undefined) return handle(call)
      call.fail(failureOf(refusal))
      return deaf
    },
  }
  return method as RpcMethod
}

/** A method with one request and a stream of responses. */
export function serverStream<Request, Response>(
  context: ServiceContext,
  path: string,
  codecs: {
    readonly request: Codec<Request, unknown>
    readonly response: Codec<unknown, Response>
  },
  handle: (request: Request, call: StreamCall<Response>) => void,
): RpcMethod {
  return {
    kind: 'server-stream',
    path,
    request: codecs.request,
    response: codecs.response,
    handle: (request: Request, call: StreamCall<Response>): void => {
      const refusal = refusalOf(context.member, call, 'refused-on-learner')
      if (refusal === undefined) handle(request, call)
      else call.fail(failureOf(refusal))
    },
  } as RpcMethod
}
