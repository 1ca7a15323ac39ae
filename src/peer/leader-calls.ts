/**
 * What a follower asks the leader over HTTP on behalf of its clients (facts: peer-protocol.md 13).
 */
import { DaemonError, type ErrorCode } from '../base/errors.js'
import type { LeaseId, MemberId } from '../base/ids.js'
import { define, message } from '../wire/codec.js'
import { WireError } from '../wire/reader.js'
import {
  LeaseKeepAliveRequest,
  LeaseKeepAliveResponse,
  LeaseTimeToLiveRequest,
  LeaseTimeToLiveResponse,
} from '../wire/rpc.js'
import type { CallOptions } from './cluster-discovery.js'
import { callPeer, type PeerAnswer } from './peer-request.js'

/** A lease may hold many keys; its list of them is the largest answer. */
const ANSWER_BYTES_MAX = 512 * 1024 * 1024

/** leasepb: the body of `/leases/internal` and of its answer. */
export const LeaseInternalRequest = define('leasepb.LeaseInternalRequest', {
  request: message(1, () => LeaseTimeToLiveRequest),
})
export const LeaseInternalResponse = define('leasepb.LeaseInternalResponse', {
  response: message(1, () => LeaseTimeToLiveResponse),
})

export interface RemoteHash {
  readonly hash: number
  readonly revision: number
  readonly compactRevision: number
  /** 0 when the member is older than etcd 3.5. */
  readonly hashRevision: number
}

interface LeaderRequest {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly contentType?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
}

/** Which error an answer other than 200 stands for; undefined = one without a name. */
type ErrorOf = (status: number, text: string) => ErrorCode | undefined

/**
 * Asks URL after URL until one answers 200, or with an error that would be the same anywhere.
 * Throws that error, else the last one met: TIMEOUT, or INTERNAL with the cause.
 */
async function ask(
  urls: readonly string[],
  request: LeaderRequest,
  options: CallOptions,
  errorOf: ErrorOf,
): Promise<Buffer> {
  let last: DaemonError = new DaemonError('NO_LEADER')
  for (const url of urls) {
    let answer: PeerAnswer
    try {
      answer = await callPeer({
        url: new URL(url),
        method: request.method,
        path: request.path,
        headers: {
          ...(request.contentType === undefined ? {} : { 'Content-Type': request.contentType }),
          ...request.headers,
        },
        body: request.body,
        agent: options,
        timeoutMs: options.timeoutMs,
        answerBytesMax: ANSWER_BYTES_MAX,
      })
    } catch (error) {
      const isTimeout = error instanceof Error && error.message.endsWith('i/o timeout')
      last = new DaemonError(isTimeout ? 'TIMEOUT' : 'INTERNAL', { cause: error })
      continue
    }
    if (answer.status === 200) return answer.body
    const text = answer.body.toString('utf8').replace(/\n$/, '')
    const code = answer.status === 408 ? 'TIMEOUT' : errorOf(answer.status, text)
    if (code !== undefined && code !== 'TIMEOUT') throw new DaemonError(code)
    const cause = new Error(`${request.path}: unknown error(${text})`)
    last = new DaemonError(code ?? 'INTERNAL', { cause })
  }
  throw last
}

/** The bytes as a message, or INTERNAL: the leader answered in a way that we cannot read. */
function decodeAnswer<Value>(
  codec: { readonly decode: (bytes: Uint8Array) => Value },
  bytes: Uint8Array,
): Value {
  try {
    return codec.decode(bytes)
  } catch (error) {
    if (error instanceof WireError) throw new DaemonError('INTERNAL', { cause: error })
    throw error
  }
}

const leaseError: ErrorOf = (status) => (status === 404 ? 'LEASE_NOT_FOUND' : undefined)

/**
 * Renews a lease at the leader; the new TTL in seconds. Throws LEASE_NOT_FOUND, TIMEOUT, INTERNAL.
 */
export async function postLeaseKeepAlive(
  urls: readonly string[],
  id: LeaseId,
  options: CallOptions,
): Promise<number> {
  const contentType = 'application/protobuf'
  const body = LeaseKeepAliveRequest.encode({ ID: id })
  const request = { method: 'POST', path: '/leases', contentType, body } as const
  const answer = decodeAnswer(LeaseKeepAliveResponse, await ask(urls, request, options, leaseError))
  if (answer.ID === id) return answer.TTL
  throw new DaemonError('INTERNAL', { cause: new Error('lease: renew id mismatch') })
}

/** Asks the leader what is left of a lease. Throws LEASE_NOT_FOUND, TIMEOUT, INTERNAL. */
export async function postLeaseTimeToLive(
  urls: readonly string[],
  timeToLive: LeaseTimeToLiveRequest,
  options: CallOptions,
): Promise<LeaseTimeToLiveResponse> {
  const contentType = 'application/protobuf'
  const body = LeaseInternalRequest.encode({ request: timeToLive })
  const request = { method: 'POST', path: '/leases/internal', contentType, body } as const
  const bytes = await ask(urls, request, options, leaseError)
  const { response } = decodeAnswer(LeaseInternalResponse, bytes)
  if (response !== undefined && response.ID === timeToLive.ID) return response
  throw new DaemonError('INTERNAL', { cause: new Error('lease: TTL id mismatch') })
}

/**
 * Asks the leader to promote a learner; the members afterwards, as JSON text (their ids exceed what
 * a number holds). Throws MEMBER_NOT_FOUND, MEMBER_NOT_LEARNER, LEARNER_NOT_READY, TIMEOUT,
 * INTERNAL.
 */
export async function postPromote(
  urls: readonly string[],
  id: MemberId,
  options: CallOptions,
): Promise<string> {
  const errorOf: ErrorOf = (status, text) => {
    if (status === 404) return 'MEMBER_NOT_FOUND'
    if (status !== 412) return undefined
    if (text.includes('can only promote a learner member which is in sync with leader')) {
      return 'LEARNER_NOT_READY'
    }
    return text.includes('can only promote a learner member') ? 'MEMBER_NOT_LEARNER' : undefined
  }
  const request = { method: 'POST', path: `/members/promote/${id}` } as const
  return (await ask(urls, request, options, errorOf)).toString('utf8')
}

/**
 * The hash of another member's keys at a revision; 0 = its latest. `clusterIdText` guards against
 * asking a member of another cluster. Throws COMPACTED, FUTURE_REVISION, CLUSTER_ID_MISMATCH,
 * TIMEOUT, INTERNAL.
 */
export async function getHashKV(
  urls: readonly string[],
  revision: number,
  options: CallOptions & { readonly clusterIdText: string },
): Promise<RemoteHash> {
  const errorOf: ErrorOf = (status, text) => {
    if (text.includes('required revision has been compacted')) return 'COMPACTED'
    if (text.includes('required revision is a future revision')) return 'FUTURE_REVISION'
    return status === 412 && text.includes('cluster ID mismatch')
      ? 'CLUSTER_ID_MISMATCH'
      : undefined
  }
  const request = {
    method: 'GET',
    path: '/members/hashkv',
    contentType: 'application/json',
    headers: { 'X-Etcd-Cluster-ID': options.clusterIdText },
    body: Buffer.from(JSON.stringify({ revision })),
  } as const
  const text = (await ask(urls, request, options, errorOf)).toString('utf8')
  return parseHash(text)
}

/** Ids in the header lose precision here, but they are not used. */
function parseHash(text: string): RemoteHash {
  try {
    const answer = JSON.parse(text) as Record<string, unknown>
    const header = (answer.header ?? {}) as Record<string, unknown>
    const count = (value: unknown): number => (typeof value === 'number' ? value : 0)
    return {
      hash: count(answer.hash),
      revision: count(header.revision),
      compactRevision: count(answer.compact_revision),
      hashRevision: count(answer.hash_revision),
    }
  } catch (error) {
    throw new DaemonError('INTERNAL', { cause: error })
  }
}
