import { failpoint } from '../base/failpoints.js'
import { type ClusterId, type MemberId, NO_MEMBER, type RequestId, requestId } from '../base/ids.js'
import { exhaustive, invariant } from '../base/invariant.js'
import { detectInvalidDowngrade, parseVersion } from '../membership/cluster-version.js'
import { parseAttributes } from '../membership/member.js'
import { membershipErrors } from '../membership/membership.js'
import type { StoreEvent } from '../mvcc/store-event.js'
import type { Clock } from '../ports/clock.js'
import type { Log } from '../ports/log.js'
import type { PeerNetwork } from '../ports/peer-network.js'
import type { RawNode } from '../raft/raw-node.js'
import { applyV2Request } from '../v2store/apply-request.js'
import { openEntry, type V3Request } from '../wire/raft-envelope.js'
import { ConfChange, ConfChangeV2, type ConfState, type Entry } from '../wire/raftpb.js'
import type { V2Operation } from '../wire/v2-request.js'
import { encodeConfState } from './conf-state-row.js'
import type { Proposals } from './proposals.js'
import type { ReplicatedState } from './replicated-state.js'

export interface EntryApplierHost {
  readonly id: MemberId
  readonly clusterId: ClusterId
  readonly node: RawNode
  readonly clock: Clock
  readonly log: Log
  readonly network: PeerNetwork
  readonly proposals: Proposals
  /** Applying one request longer than this is told to `onSlow`, ms. */
  readonly warningApplyMs: number
  state(): ReplicatedState
  /** Changes of keys, all of the store's revision now. */
  onEvents(events: readonly StoreEvent[]): void
  /** The empty entry that a leader begins its term with. */
  onNewTerm(entry: Entry): void
  onV3Applied(entry: V3Request, isOverQuota: boolean): void
  onConfState(confState: ConfState): void
  onSlow(operation: string, tookMs: number): void
  onSelfRemoved(): void
  onFatal(message: string): void
}

/**
 * Applies committed entries in order. What an entry does to the backend is left out when the
 * backend has it already (a restart replays from the snapshot); the v2 tree, the membership and
 * raft's configuration always follow.
 */
export class EntryApplier {
  readonly #host: EntryApplierHost

  constructor(host: EntryApplierHost) {
    this.#host = host
  }

  apply(entry: Entry): void {
    const { backend } = this.#host.state()
    const isNew = entry.index > backend.consistentIndex
    if (isNew) backend.setConsistentIndex(entry.index, entry.term)
    switch (entry.type) {
      case 'EntryNormal':
        failpoint('beforeApplyOneEntryNormal')
        this.#applyNormal(entry, isNew)
        return
      case 'EntryConfChange':
        failpoint('beforeApplyOneConfChange')
        this.#applyConfChange(ConfChange.decode(entry.data), isNew)
        return
      case 'EntryConfChangeV2':
        this.#setConfState(this.#host.node.applyConfChange(ConfChangeV2.decode(entry.data)), isNew)
        return
      case 'UNKNOWN':
        this.#host.onFatal('an entry of an unknown type was committed')
        return
      default:
        exhaustive(entry.type)
    }
  }

  #applyNormal(entry: Entry, isNew: boolean): void {
    const own = this.#host.proposals.v2Proposal(entry.data)
    if (own !== undefined) {
      this.#applyV2(own.id, own.v2, isNew)
      return
    }
    const opened = openEntry(entry.data)
    switch (opened.kind) {
      case 'noop':
        this.#host.onNewTerm(entry)
        return
      case 'unknown':
        this.#host.onFatal('an entry holds a request that this version does not know')
        return
      case 'v2':
        this.#applyV2(opened.id, opened.request, isNew)
        return
      case 'v3':
        if (isNew) this.#applyV3(opened)
        return
      default:
        exhaustive(opened)
    }
  }

  #applyV3(opened: V3Request): void {
    const { clock, proposals, warningApplyMs } = this.#host
    const startedMs = clock.monotonicMs()
    const applied = this.#host.state().machine.apply(opened, startedMs)
    if (applied.events.length > 0) this.#host.onEvents(applied.events)
    this.#host.onV3Applied(opened, applied.isOverQuota)
    proposals.settle(opened.id, applied.outcome)
    const tookMs = clock.monotonicMs() - startedMs
    if (tookMs > warningApplyMs) this.#host.onSlow(opened.operation, tookMs)
  }

  #applyV2(id: RequestId, operation: V2Operation, isNew: boolean): void {
    const { v2, membership, membershipRows, store } = this.#host.state()
    const sinks = { tree: v2, rows: isNew ? membershipRows : undefined }
    const result = applyV2Request(v2, operation, this.#host.clock.wallMs())
    if (result.kind === 'member-attributes') {
      const attributes = parseAttributes(result.attributes)
      const outcome =
        attributes === undefined
          ? 'unreadable'
          : membership.setAttributes(result.memberId, attributes, sinks)
      this.#host.log.info('updated member attributes', {
        'member-id': result.memberId.toString(16),
        name: attributes?.name,
        outcome,
      })
    } else if (result.kind === 'cluster-version') {
      const version = parseVersion(result.version)
      if (version !== undefined) {
        const isFirst = membership.version === undefined
        membership.setVersion(version, sinks)
        this.#onClusterVersion(isFirst)
      }
    }
    const outcome = { kind: 'applied', response: result, revision: store.currentRevision } as const
    this.#host.proposals.settle(id, outcome)
  }

  #onClusterVersion(isFirst: boolean): void {
    const { version: cluster, downgrade } = this.#host.state().membership
    invariant(cluster !== undefined, 'the cluster version was just set')
    const text = `${cluster.major}.${cluster.minor}`
    const fields = { ...this.#idFields(), 'cluster-version': text }
    const { log } = this.#host
    log.info(isFirst ? 'set initial cluster version' : 'updated cluster version', fields)
    log.info('enabled capabilities for version', { 'cluster-version': text })
    const problem = detectInvalidDowngrade({ cluster, downgrade })
    if (problem !== undefined) this.#host.onFatal(problem)
  }

  #applyConfChange(change: ConfChange, isNew: boolean): void {
    const { node, proposals } = this.#host
    const { membership, membershipRows, store, v2 } = this.#host.state()
    const id = requestId(change.id)
    const verdict = membership.validate(change)
    if (verdict.kind !== 'valid') {
      // A change that makes no sense any more must still be acknowledged to raft, as one of nobody.
      this.#setConfState(node.applyConfChange({ ...change, nodeId: NO_MEMBER }), isNew)
      const code = verdict.kind === 'refused' ? membershipErrors[verdict.error].code : 'INTERNAL'
      proposals.settle(id, { kind: 'failed', code })
      return
    }
    this.#setConfState(node.applyConfChange(change), isNew)
    const applied = verdict.change
    membership.apply(applied, { tree: v2, rows: isNew ? membershipRows : undefined })
    this.#follow(applied.kind === 'add' ? applied.member.id : applied.id, applied.kind)
    proposals.settle(id, { kind: 'applied', response: {}, revision: store.currentRevision })
  }

  /** Lets the network follow a change of membership. */
  #follow(id: MemberId, kind: 'add' | 'promote' | 'remove' | 'update'): void {
    const { log, network } = this.#host
    const fields = this.#idFields()
    const member = this.#host.state().membership.member(id)
    const urls = member?.peerUrls ?? []
    const isSelf = id === this.#host.id
    const shown = id.toString(16)
    switch (kind) {
      case 'add':
        log.info('added member', {
          ...fields,
          'added-peer-id': shown,
          'added-peer-peer-urls': urls,
        })
        if (!isSelf) network.addPeer(id, urls)
        return
      case 'update':
        log.info('updated member', {
          ...fields,
          'updated-remote-peer-id': shown,
          'updated-remote-peer-urls': urls,
        })
        if (!isSelf) network.updatePeer(id, urls)
        return
      case 'promote':
        log.info('promote member', { ...fields, 'promoted-member-id': shown })
        return
      case 'remove':
        log.info('removed member', { ...fields, 'removed-remote-peer-id': shown })
        if (isSelf) this.#host.onSelfRemoved()
        else network.removePeer(id)
        return
      default:
        exhaustive(kind)
    }
  }

  #setConfState(confState: ConfState, isNew: boolean): void {
    this.#host.onConfState(confState)
    if (isNew) this.#host.state().backend.putMeta('confState', encodeConfState(confState))
  }

  #idFields(): Readonly<Record<string, string>> {
    const { clusterId, id } = this.#host
    return { 'cluster-id': clusterId.toString(16), 'local-member-id': id.toString(16) }
  }
}
