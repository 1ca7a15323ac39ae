/**
 * A committed v2 log entry → the change of the store, by etcd's rules (facts: v2-api.md 3 and 7).
 */
import type { MemberId } from '../base/ids.js'
import { CLUSTER_VERSION_PATH, parseMemberAttributesPath } from '../base/v2-paths.js'
import type { V2Operation } from '../wire/v2-request.js'
import type { V2Event } from './event.js'
import type { V2Result } from './operations.js'
import type { V2Store } from './store.js'

/**
 * What an entry asks for when it is not about users' keys: membership changes the tree for these.
 */
export type ClusterRequest =
  | {
      readonly kind: 'member-attributes'
      readonly memberId: MemberId
      /** JSON: `{"name":"n1","clientURLs":["…"]}`. */
      readonly attributes: string
    }
  | { readonly kind: 'cluster-version'; readonly version: string }

export type V2ApplyResult =
  | V2Result
  | ClusterRequest
  | { readonly kind: 'synced'; readonly expired: readonly V2Event[] }
  /** `etcdserver: unknown method`, answered as error 300. */
  | { readonly kind: 'unknown-method' }

/**
 * What a PUT without conditions says about the cluster; `undefined` for a request about keys. The
 * caller hands it to membership and answers nobody: the sender waits for the entry only.
 */
export function clusterRequestOf(request: V2Operation): ClusterRequest | undefined {
  const isPlainPut =
    request.Method === 'PUT' &&
    request.PrevExist === undefined &&
    request.PrevIndex === 0 &&
    request.PrevValue === ''
  if (!isPlainPut) return undefined
  const memberId = parseMemberAttributesPath(request.Path)
  if (memberId !== undefined) {
    return { kind: 'member-attributes', memberId, attributes: request.Val }
  }
  if (request.Path !== CLUSTER_VERSION_PATH) return undefined
  return { kind: 'cluster-version', version: request.Val }
}

function put(store: V2Store, request: V2Operation, nowMs: number): V2Result {
  const options = {
    path: request.Path,
    nowMs,
    value: request.Val,
    isDirectory: request.Dir,
    expirationNs: request.Expiration,
    refresh: request.Refresh === true,
    prevValue: request.PrevValue,
    prevIndex: request.PrevIndex,
  }
  const isCompared = request.PrevIndex > 0 || request.PrevValue !== ''
  if (request.PrevExist === false) return store.create({ ...options, isUnique: false })
  if (isCompared) return store.compareAndSwap(options)
  return request.PrevExist === true ? store.update(options) : store.set(options)
}

/**
 * Applies one v2 request. `nowMs` (wall clock, unix milliseconds) decides the TTLs shown, nothing
 * else: ends and the time of a SYNC come with the entry. A request about the cluster changes
 * nothing here: it comes back as what it is, for membership.
 */
export function applyV2Request(store: V2Store, request: V2Operation, nowMs: number): V2ApplyResult {
  const cluster = clusterRequestOf(request)
  if (cluster !== undefined) return cluster
  const { Path: path, Dir: isDirectory, Recursive: isRecursive } = request
  switch (request.Method) {
    case 'POST':
      return store.create({
        path,
        nowMs,
        value: request.Val,
        isDirectory,
        isUnique: true,
        expirationNs: request.Expiration,
      })
    case 'PUT':
      return put(store, request, nowMs)
    case 'DELETE': {
      const { PrevIndex: prevIndex, PrevValue: prevValue } = request
      if (prevIndex > 0 || prevValue !== '') {
        return store.compareAndDelete({ path, nowMs, prevIndex, prevValue })
      }
      return store.delete({ path, nowMs, isDirectory, isRecursive })
    }
    case 'QGET':
      return store.get({ path, nowMs, isRecursive, isSorted: request.Sorted })
    case 'SYNC':
      return { kind: 'synced', expired: store.deleteExpiredKeys(request.Time, nowMs) }
    default:
      return { kind: 'unknown-method' }
  }
}
