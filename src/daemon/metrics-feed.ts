import { readdirSync, readFileSync } from 'node:fs'
import { idToHex } from '../base/ids.js'
import { SERVER_VERSION } from '../base/version.js'
import type { Member } from '../member/member.js'
import { shortVersion } from '../membership/cluster-version.js'
import type { Metrics } from '../ops/metrics.js'
import type { PeerObserver } from '../peer/peer-context.js'
import type { GrpcStatus, RpcMethod, RpcObserver } from '../ports/rpc.js'
import type { AppendTraffic } from './append-traffic.js'

const CODES = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
] as const

interface MethodCounts {
  readonly labels: {
    readonly grpc_type: string
    readonly grpc_service: string
    readonly grpc_method: string
  }
  started: number
  received: number
  sent: number
  readonly handled: number[]
}

const TYPES = {
  unary: 'unary',
  'server-stream': 'server_stream',
  'client-stream': 'client_stream',
  'bidi-stream': 'bidi_stream',
} as const

/** Counts calls in plain numbers; the metrics take them over when they are scraped. */
export class RpcCounts implements RpcObserver {
  readonly #methods = new Map<string, MethodCounts>()
  readonly #slowMs: number
  readonly #onSlow: (path: string, tookMs: number) => void
  #bytesReceived = 0
  #bytesSent = 0

  constructor(
    methods: readonly RpcMethod[],
    slow: { readonly aboveMs: number; readonly onSlow: (path: string, tookMs: number) => void },
  ) {
    this.#slowMs = slow.aboveMs
    this.#onSlow = slow.onSlow
    for (const { path, kind } of methods) {
      const [, service = '', method = ''] = path.split('/')
      const labels = { grpc_type: TYPES[kind], grpc_service: service, grpc_method: method }
      this.#methods.set(path, { labels, started: 0, received: 0, sent: 0, handled: [] })
    }
  }

  started(method: RpcMethod): void {
    const counts = this.#methods.get(method.path)
    if (counts !== undefined) counts.started++
  }

  received(method: RpcMethod, bytes: number): void {
    this.#bytesReceived += bytes
    const counts = this.#methods.get(method.path)
    if (counts !== undefined) counts.received++
  }

  sent(method: RpcMethod, bytes: number): void {
    this.#bytesSent += bytes
    const counts = this.#methods.get(method.path)
    if (counts !== undefined) counts.sent++
  }

  handled(method: RpcMethod, status: GrpcStatus, tookMs: number): void {
    if (method.kind === 'unary' && tookMs > this.#slowMs) this.#onSlow(method.path, tookMs)
    const counts = this.#methods.get(method.path)
    if (counts !== undefined) counts.handled[status] = (counts.handled[status] ?? 0) + 1
  }

  writeTo(metrics: Metrics): void {
    metrics.set('etcd_network_client_grpc_received_bytes_total', this.#bytesReceived)
    metrics.set('etcd_network_client_grpc_sent_bytes_total', this.#bytesSent)
    for (const { labels, started, received, sent, handled } of this.#methods.values()) {
      metrics.set('grpc_server_started_total', started, labels)
      metrics.set('grpc_server_msg_received_total', received, labels)
      metrics.set('grpc_server_msg_sent_total', sent, labels)
      CODES.forEach((grpc_code, status) => {
        metrics.set('grpc_server_handled_total', handled[status] ?? 0, { ...labels, grpc_code })
      })
    }
  }
}

/** What the peer transport tells, as etcd's network metrics. */
export function peerObserver(
  metrics: Metrics,
  local: string,
  traffic: AppendTraffic,
): PeerObserver {
  const to = (id: bigint): { To: string } => ({ To: idToHex(id) })
  const from = (id: bigint): { From: string } => ({ From: idToHex(id) })
  return {
    sent: (id, bytes) => metrics.add('etcd_network_peer_sent_bytes_total', bytes, to(id)),
    sendFailed: (id) => metrics.add('etcd_network_peer_sent_failures_total', 1, to(id)),
    received: (id, bytes) => metrics.add('etcd_network_peer_received_bytes_total', bytes, from(id)),
    receiveFailed: (address) =>
      metrics.add('etcd_network_peer_received_failures_total', 1, { From: address }),
    roundTrip: (id, seconds) =>
      metrics.observe('etcd_network_peer_round_trip_time_seconds', seconds, to(id)),
    activeChanged: (id, isActive) => {
      const labels = { Local: local, Remote: idToHex(id) }
      metrics.set('etcd_network_active_peers', isActive ? 1 : 0, labels)
      if (!isActive) metrics.add('etcd_network_disconnected_peers_total', 1, labels)
    },
    snapshotSendStarted: (id) =>
      metrics.set('etcd_network_snapshot_send_inflights_total', 1, to(id)),
    snapshotSendEnded: (id, outcome, seconds) => {
      metrics.set('etcd_network_snapshot_send_inflights_total', 0, to(id))
      if (outcome === 'failure') {
        metrics.add('etcd_network_snapshot_send_failures', 1, to(id))
        return
      }
      metrics.add('etcd_network_snapshot_send_success', 1, to(id))
      metrics.observe('etcd_network_snapshot_send_total_duration_seconds', seconds, to(id))
    },
    snapshotReceiveStarted: (id) =>
      metrics.set('etcd_network_snapshot_receive_inflights_total', 1, from(id)),
    snapshotReceiveEnded: (id, outcome, seconds) => {
      metrics.set('etcd_network_snapshot_receive_inflights_total', 0, from(id))
      if (outcome === 'failure') {
        metrics.add('etcd_network_snapshot_receive_failures', 1, from(id))
        return
      }
      metrics.add('etcd_network_snapshot_receive_success', 1, from(id))
      metrics.observe('etcd_network_snapshot_receive_total_duration_seconds', seconds, from(id))
    },
    appendSent: (id, bytes, seconds) => traffic.appendSent(id, bytes, seconds),
    appendFailed: (id) => traffic.appendFailed(id),
    appendReceived: (id, bytes) => traffic.appendReceived(id, bytes),
  }
}

function fileDescriptors(): { used: number; limit: number } {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8')
    const limit = Number(/Max open files\s+(\d+)/.exec(limits)?.[1] ?? 0)
    return { used: readdirSync('/proc/self/fd').length, limit }
  } catch {
    return { used: 0, limit: 0 }
  }
}

/** Brings everything that is read off the member up to date, at each scrape. */
export function feedMetrics(
  metrics: Metrics,
  member: Member,
  rpc: RpcCounts,
  isBusyDefragmenting: () => boolean,
): void {
  metrics.set('etcd_server_version', 1, { server_version: SERVER_VERSION })
  metrics.set('etcd_server_go_version', 1, { server_go_version: `node ${process.version}` })
  metrics.set('etcd_server_id', 1, { server_id: idToHex(member.id) })
  metrics.set(
    'etcd_server_quota_backend_bytes',
    Number.isFinite(member.settings.quotaBytes) ? member.settings.quotaBytes : 0,
  )
  let shownVersion = ''
  metrics.onScrape(() => {
    const { store, hub, backend, counts, state } = member
    const version = member.membership.version
    if (version !== undefined && shortVersion(version) !== shownVersion) {
      if (shownVersion !== '')
        metrics.set('etcd_cluster_version', 0, { cluster_version: shownVersion })
      shownVersion = shortVersion(version)
      metrics.set('etcd_cluster_version', 1, { cluster_version: shownVersion })
    }
    metrics.set('etcd_server_has_leader', member.leaderId === 0n ? 0 : 1)
    metrics.set('etcd_server_is_leader', member.isLeader ? 1 : 0)
    metrics.set('etcd_server_is_learner', member.isLearner ? 1 : 0)
    metrics.set('etcd_server_leader_changes_seen_total', member.leaderChangesSeen)
    metrics.set('etcd_server_proposals_committed_total', member.committedIndex)
    metrics.set('etcd_server_proposals_applied_total', member.appliedIndex)
    metrics.set('etcd_server_proposals_pending', member.pendingProposalCount)
    metrics.set('etcd_server_proposals_failed_total', member.failedProposalCount)
    metrics.set('etcd_server_slow_apply_total', counts.slowApplies)
    metrics.set('etcd_server_slow_read_indexes_total', counts.slowReads)
    metrics.set('etcd_server_read_indexes_failed_total', counts.readsFailed)
    metrics.set('etcd_mvcc_range_total', counts.ranges)
    metrics.set('etcd_debugging_mvcc_range_total', counts.ranges)
    metrics.set('etcd_mvcc_put_total', counts.puts)
    metrics.set('etcd_mvcc_delete_total', counts.deletes)
    metrics.set('etcd_mvcc_txn_total', counts.txns)
    metrics.set('etcd_mvcc_db_total_size_in_bytes', backend.sizeBytes)
    metrics.set('etcd_mvcc_db_total_size_in_use_in_bytes', backend.inUseBytes)
    metrics.set('etcd_debugging_mvcc_keys_total', store.liveKeyCount)
    metrics.set('etcd_debugging_mvcc_current_revision', store.currentRevision)
    metrics.set('etcd_debugging_mvcc_compact_revision', store.compactedRevision)
    metrics.set('etcd_debugging_mvcc_watcher_total', hub.watcherCount)
    metrics.set('etcd_debugging_mvcc_watch_stream_total', hub.streamCount)
    metrics.set('etcd_debugging_mvcc_slow_watcher_total', hub.slowWatcherCount)
    metrics.set('etcd_debugging_mvcc_pending_events_total', hub.pendingEventCount)
    metrics.set('etcd_debugging_mvcc_events_total', hub.eventsSent)
    metrics.set('etcd_debugging_lease_granted_total', state.lessor.grantedCount)
    metrics.set('etcd_debugging_lease_revoked_total', state.lessor.revokedCount)
    metrics.set('etcd_debugging_lease_renewed_total', state.lessor.renewedCount)
    metrics.set('etcd_debugging_server_lease_expired_total', member.expiredLeaseCount)
    metrics.set('etcd_disk_defrag_inflight', isBusyDefragmenting() ? 1 : 0)
    const { used, limit } = fileDescriptors()
    metrics.set('os_fd_used', used)
    metrics.set('os_fd_limit', limit)
    rpc.writeTo(metrics)
  })
}
