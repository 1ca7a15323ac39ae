import type { ErrorCode } from '../base/errors.js'
import { type LeaseId, leaseId } from '../base/ids.js'
import { exhaustive } from '../base/invariant.js'
import { leaseRowKey } from '../lease/lease-row.js'
import type { Lessor } from '../lease/lessor.js'
import { parseVersion } from '../membership/cluster-version.js'
import type { Membership } from '../membership/membership.js'
import type { MembershipSinks } from '../membership/sinks.js'
import type { MvccStore } from '../mvcc/mvcc-store.js'
import { evaluateRange } from '../mvcc/range-request.js'
import type { StoreEvent } from '../mvcc/store-event.js'
import { applyDeleteRange, applyPut, applyTxn, type WriteOutcome } from '../mvcc/txn-request.js'
import type { V3Request } from '../wire/raft-envelope.js'
import type {
  AlarmRequest,
  CompactionRequest,
  LeaseCheckpointRequest,
  LeaseGrantRequest,
  RangeRequest,
} from '../wire/rpc.js'
import type { Alarms } from './alarms.js'
import type { ApplyOutcome } from './outcome.js'
import { LEASE_COST_BYTES, putCost, txnCost } from './request-cost.js'

/** Where leases are kept: bucket `lease`. */
export interface LeaseRows {
  putLease(key: Uint8Array, value: Uint8Array): void
  deleteLease(key: Uint8Array): void
}

export interface StateMachineParts {
  readonly store: MvccStore
  readonly lessor: Lessor
  readonly alarms: Alarms
  readonly membership: Membership
  readonly leaseRows: LeaseRows
  readonly membershipSinks: MembershipSinks
  /** Whether what checkpoints say outlives a restart; memory follows them in any case. */
  readonly persistsCheckpoints: boolean
  /** Whether the backend has room for so many bytes more. */
  readonly hasRoomFor: (bytes: number) => boolean
}

/** What one entry changed. */
export interface Applied {
  readonly outcome: ApplyOutcome
  /** Changes of keys, all of the revision that the store has now; empty when there were none. */
  readonly events: readonly StoreEvent[]
  /** The request took the backend over its quota: the member raises the NOSPACE alarm. */
  readonly isOverQuota: boolean
}

const NO_EVENTS: readonly StoreEvent[] = Object.freeze([])
const failedWith = (code: ErrorCode): Applied => ({
  outcome: { kind: 'failed', code },
  events: NO_EVENTS,
  isOverQuota: false,
})

/**
 * The replicated state machine: the same entries in the same order give the same state and the same
 * answers on every member (facts: peer-protocol.md 12). `nowMs` only feeds the leader's own lease
 * clock.
 */
export class StateMachine {
  readonly #parts: StateMachineParts
  readonly #leaseExists = (lease: LeaseId): boolean => this.#parts.lessor.has(lease)

  constructor(parts: StateMachineParts) {
    this.#parts = parts
  }

  /** Applies one v3 request. */
  apply(entry: V3Request, nowMs: number): Applied {
    const { alarms } = this.#parts
    if (alarms.isActive('CORRUPT') && isRefusedWhenCorrupt(entry.operation)) {
      return failedWith('CORRUPT')
    }
    if (alarms.isActive('NOSPACE') && this.#needsSpace(entry)) return failedWith('NO_SPACE')
    const { store } = this.#parts
    switch (entry.operation) {
      case 'put': {
        const isOverQuota = !this.#parts.hasRoomFor(putCost(entry.request))
        return capped(wrote(applyPut(store, entry.request, this.#leaseExists)), isOverQuota)
      }
      case 'deleteRange':
        return wrote(applyDeleteRange(store, entry.request))
      case 'txn': {
        const cost = txnCost(entry.request)
        const isOverQuota = cost > 0 && !this.#parts.hasRoomFor(cost)
        return capped(wrote(applyTxn(store, entry.request, this.#leaseExists)), isOverQuota)
      }
      case 'range':
        return this.#range(entry.request)
      case 'compaction':
        return this.#compact(entry.request)
      case 'leaseGrant': {
        const isOverQuota = !this.#parts.hasRoomFor(LEASE_COST_BYTES)
        return capped(this.#grant(entry.request, nowMs), isOverQuota)
      }
      case 'leaseRevoke':
        return this.#revoke(leaseId(entry.request.ID))
      case 'leaseCheckpoint':
        return this.#checkpoint(entry.request, nowMs)
      case 'alarm':
        return this.#alarm(entry.request)
      case 'clusterVersionSet': {
        const version = parseVersion(entry.request.ver)
        if (version === undefined) return failedWith('INTERNAL')
        this.#parts.membership.setVersion(version, this.#parts.membershipSinks)
        return this.#done({})
      }
      case 'clusterMemberAttrSet': {
        const { memberID, memberAttributes } = entry.request
        const attributes = {
          name: memberAttributes?.name ?? '',
          clientUrls: memberAttributes?.clientUrls ?? [],
        }
        this.#parts.membership.setAttributes(memberID, attributes, this.#parts.membershipSinks)
        return this.#done({})
      }
      case 'downgradeInfoSet': {
        const { enabled, ver } = entry.request
        const info = { isEnabled: enabled, targetVersion: ver }
        this.#parts.membership.setDowngrade(info, this.#parts.membershipSinks)
        return this.#done({})
      }
      case 'authEnable':
      case 'authDisable':
      case 'authenticate':
      case 'authStatus':
      case 'authUserAdd':
      case 'authUserDelete':
      case 'authUserGet':
      case 'authUserChangePassword':
      case 'authUserGrantRole':
      case 'authUserRevokeRole':
      case 'authUserList':
      case 'authRoleList':
      case 'authRoleAdd':
      case 'authRoleDelete':
      case 'authRoleGet':
      case 'authRoleGrantPermission':
      case 'authRoleRevokePermission':
        // This version has no auth store: README says so, and no client of ours can propose these.
        return failedWith('NOT_CAPABLE')
      default:
        return exhaustive(entry)
    }
  }

  #needsSpace(entry: V3Request): boolean {
    switch (entry.operation) {
      case 'put':
      case 'leaseGrant':
        return true
      case 'txn':
        return txnCost(entry.request) > 0
      default:
        return false
    }
  }

  #done(response: object): Applied {
    const revision = this.#parts.store.currentRevision
    return {
      outcome: { kind: 'applied', response, revision },
      events: NO_EVENTS,
      isOverQuota: false,
    }
  }

  #range(request: RangeRequest): Applied {
    const { store } = this.#parts
    const evaluation = evaluateRange(request, (query) => store.range(query))
    return evaluation.kind === 'failed' ? failedWith(evaluation.code) : this.#done(evaluation.reply)
  }

  #compact(request: CompactionRequest): Applied {
    const code = this.#parts.store.compact(request.revision)
    return code === undefined ? this.#done({}) : failedWith(code)
  }

  #grant(request: LeaseGrantRequest, nowMs: number): Applied {
    const { lessor, leaseRows } = this.#parts
    const id = leaseId(request.ID)
    const granted = lessor.grant(id, request.TTL, nowMs)
    if (granted.kind === 'refused') return failedWith(granted.code)
    const row = lessor.rowOf(id)
    if (row !== undefined) leaseRows.putLease(leaseRowKey(id), row)
    return this.#done({ ID: id, TTL: granted.ttl })
  }

  /** Deletes the attached keys, in order, under one revision; no keys use no revision. */
  #revoke(id: LeaseId): Applied {
    const { lessor, store, leaseRows } = this.#parts
    if (!lessor.has(id)) return failedWith('LEASE_NOT_FOUND')
    const keys = lessor.keysOf(id)
    const transaction = store.begin()
    for (const key of keys) transaction.deleteRange(key, '')
    const { events } = transaction.end()
    lessor.revoke(id)
    leaseRows.deleteLease(leaseRowKey(id))
    return { ...this.#done({}), events }
  }

  #checkpoint(request: LeaseCheckpointRequest, nowMs: number): Applied {
    const { lessor, leaseRows } = this.#parts
    for (const { ID, remaining_TTL } of request.checkpoints) {
      const id = leaseId(ID)
      if (!lessor.checkpoint(id, remaining_TTL, nowMs)) continue
      const row = this.#parts.persistsCheckpoints ? lessor.rowOf(id) : undefined
      if (row !== undefined) leaseRows.putLease(leaseRowKey(id), row)
    }
    return this.#done({})
  }

  /** The response names only what this request asked for or changed (facts: v3-api.md 6). */
  #alarm(request: AlarmRequest): Applied {
    const { alarms } = this.#parts
    const { memberID: memberId, alarm: kind } = request
    const shown = (list: readonly { memberId: bigint; kind: string }[]): Applied =>
      this.#done({ alarms: list.map((alarm) => ({ memberID: alarm.memberId, alarm: alarm.kind })) })
    switch (request.action) {
      case 'GET':
        return shown(alarms.list(memberId, kind))
      case 'ACTIVATE':
        if (kind === 'NONE' || kind === 'UNKNOWN') return shown([])
        alarms.activate({ memberId, kind })
        return shown([{ memberId, kind }])
      case 'DEACTIVATE':
        if (kind === 'NONE' || kind === 'UNKNOWN') return shown([])
        return shown(alarms.deactivate({ memberId, kind }) ? [{ memberId, kind }] : [])
      case 'UNKNOWN':
        return shown([])
      default:
        return exhaustive(request.action)
    }
  }
}

function wrote<Response extends object>(written: WriteOutcome<Response>): Applied {
  if (written.kind === 'failed') return failedWith(written.code)
  const { revision, events } = written.result
  return {
    outcome: { kind: 'applied', response: written.response, revision },
    events,
    isOverQuota: false,
  }
}

/** As in etcd, what takes the store over its quota is done, but answered as refused. */
function capped(applied: Applied, isOverQuota: boolean): Applied {
  if (!isOverQuota || applied.outcome.kind === 'failed') return applied
  return { outcome: { kind: 'failed', code: 'NO_SPACE' }, events: applied.events, isOverQuota }
}

function isRefusedWhenCorrupt(operation: V3Request['operation']): boolean {
  switch (operation) {
    case 'put':
    case 'range':
    case 'deleteRange':
    case 'txn':
    case 'compaction':
    case 'leaseGrant':
    case 'leaseRevoke':
      return true
    default:
      return false
  }
}
