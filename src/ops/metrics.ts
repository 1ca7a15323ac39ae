import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

type Labels = Readonly<Record<string, string | number>>
type Family =
  | {
      readonly type: 'counter' | 'gauge'
      readonly labels?: readonly string[]
      readonly help: string
    }
  | {
      readonly type: 'histogram'
      readonly labels?: readonly string[]
      readonly help: string
      readonly buckets: readonly number[]
    }

/** `count` bounds from `first` on, each twice the one before. */
const doubling = (first: number, count: number): number[] =>
  Array.from({ length: count }, (_, at) => first * 2 ** at)

const counter = (help: string, labels: readonly string[] = []): Family => ({
  type: 'counter',
  help,
  labels,
})
const gauge = (help: string, labels: readonly string[] = []): Family => ({
  type: 'gauge',
  help,
  labels,
})
const histogram = (
  help: string,
  first: number,
  count: number,
  labels: readonly string[] = [],
): Family => ({
  type: 'histogram',
  help,
  labels,
  buckets: doubling(first, count),
})

/**
 * etcd's metric families by name (facts: ops.md 1). Histograms are in seconds unless the name says
 * otherwise.
 */
export const FAMILIES = {
  etcd_server_has_leader: gauge('Whether or not a leader exists. 1 is existence, 0 is not.'),
  etcd_server_is_leader: gauge('Whether or not this member is a leader. 1 if is, 0 otherwise.'),
  etcd_server_is_learner: gauge('Whether or not this member is a learner. 1 if is, 0 otherwise.'),
  etcd_server_id: gauge(
    'Server or member ID in hexadecimal format. 1 for "server_id" label with current ID.',
    ['server_id'],
  ),
  etcd_server_version: gauge(
    'Which version is running. 1 for "server_version" label with current version.',
    ['server_version'],
  ),
  etcd_server_go_version: gauge(
    'Which runtime the server is running with. 1 for the label with its version.',
    ['server_go_version'],
  ),
  etcd_cluster_version: gauge(
    'Which version is running. 1 for "cluster_version" label with current cluster version.',
    ['cluster_version'],
  ),
  etcd_server_leader_changes_seen_total: counter('The number of leader changes seen.'),
  etcd_server_proposals_committed_total: gauge(
    'The total number of consensus proposals committed.',
  ),
  etcd_server_proposals_applied_total: gauge('The total number of consensus proposals applied.'),
  etcd_server_proposals_pending: gauge('The current number of pending proposals to commit.'),
  etcd_server_proposals_failed_total: counter('The total number of failed proposals seen.'),
  etcd_server_heartbeat_send_failures_total: counter(
    'The total number of leader heartbeat send failures (likely overloaded from slow disk).',
  ),
  etcd_server_slow_apply_total: counter(
    'The total number of slow apply requests (likely overloaded from slow disk).',
  ),
  etcd_server_slow_read_indexes_total: counter(
    "The total number of pending read indexes not in sync with leader's " +
      'or timed out read index requests.',
  ),
  etcd_server_read_indexes_failed_total: counter('The total number of failed read indexes seen.'),
  etcd_server_quota_backend_bytes: gauge('Current backend storage quota size in bytes.'),
  etcd_server_learner_promote_successes: counter(
    'The total number of successful learner promotions while this member is leader.',
  ),
  etcd_server_learner_promote_failures: counter(
    'The total number of failed learner promotions (likely learner not ready) ' +
      'while this member is leader.',
    ['Reason'],
  ),
  etcd_server_snapshot_apply_in_progress_total: gauge(
    '1 if the server is applying the incoming snapshot. 0 if none.',
  ),
  etcd_server_health_success: counter('The total number of successful health checks'),
  etcd_server_health_failures: counter('The total number of failed health checks'),
  etcd_server_healthcheck: gauge('The result of each kind of healthcheck.', ['type', 'name']),
  etcd_server_healthchecks_total: counter('The total number of each kind of healthcheck.', [
    'type',
    'name',
    'status',
  ]),
  etcd_server_client_requests_total: counter(
    'The total number of client requests per client version.',
    ['type', 'client_api_version'],
  ),
  etcd_server_apply_duration_seconds: histogram(
    'The latency distributions of v2 apply called by backend.',
    0.0001,
    20,
    ['version', 'op', 'success'],
  ),
  etcd_debugging_server_lease_expired_total: counter('The total number of expired leases.'),
  etcd_debugging_auth_revision: gauge('The current revision of auth store.'),
  os_fd_used: gauge('The number of used file descriptors.'),
  os_fd_limit: gauge('The file descriptor limit.'),
  etcd_disk_wal_fsync_duration_seconds: histogram(
    'The latency distributions of fsync called by WAL.',
    0.001,
    14,
  ),
  etcd_disk_wal_write_duration_seconds: histogram(
    'The latency distributions of write called by WAL.',
    0.001,
    14,
  ),
  etcd_disk_wal_write_bytes_total: gauge('Total number of bytes written in WAL.'),
  etcd_disk_backend_commit_duration_seconds: histogram(
    'The latency distributions of commit called by backend.',
    0.001,
    14,
  ),
  etcd_debugging_disk_backend_commit_rebalance_duration_seconds: histogram(
    'The latency distributions of commit.rebalance called by bboltdb backend.',
    0.001,
    14,
  ),
  etcd_debugging_disk_backend_commit_spill_duration_seconds: histogram(
    'The latency distributions of commit.spill called by bboltdb backend.',
    0.001,
    14,
  ),
  etcd_debugging_disk_backend_commit_write_duration_seconds: histogram(
    'The latency distributions of commit.write called by bboltdb backend.',
    0.001,
    14,
  ),
  etcd_disk_backend_snapshot_duration_seconds: histogram(
    'The latency distribution of backend snapshots.',
    0.01,
    17,
  ),
  etcd_disk_backend_defrag_duration_seconds: histogram(
    'The latency distribution of backend defragmentation.',
    0.1,
    13,
  ),
  etcd_disk_defrag_inflight: gauge(
    'Whether or not defrag is active on the member. 1 means active, 0 means not.',
  ),
  etcd_snap_fsync_duration_seconds: histogram(
    'The latency distributions of fsync called by snap.',
    0.001,
    14,
  ),
  etcd_snap_db_fsync_duration_seconds: histogram(
    'The latency distributions of fsyncing .snap.db file',
    0.001,
    14,
  ),
  etcd_snap_db_save_total_duration_seconds: histogram(
    'The total latency distributions of v3 snapshot save',
    0.1,
    10,
  ),
  etcd_debugging_snap_save_total_duration_seconds: histogram(
    'The total latency distributions of save called by snapshot.',
    0.001,
    14,
  ),
  etcd_debugging_snap_save_marshalling_duration_seconds: histogram(
    'The marshalling cost distributions of save called by snapshot.',
    0.001,
    14,
  ),
  etcd_mvcc_range_total: counter('Total number of ranges seen by this member.'),
  etcd_mvcc_put_total: counter('Total number of puts seen by this member.'),
  etcd_mvcc_delete_total: counter('Total number of deletes seen by this member.'),
  etcd_mvcc_txn_total: counter('Total number of txns seen by this member.'),
  etcd_mvcc_db_total_size_in_bytes: gauge(
    'Total size of the underlying database physically allocated in bytes.',
  ),
  etcd_mvcc_db_total_size_in_use_in_bytes: gauge(
    'Total size of the underlying database logically in use in bytes.',
  ),
  etcd_mvcc_db_open_read_transactions: gauge('The number of currently open read transactions'),
  etcd_mvcc_hash_duration_seconds: histogram(
    'The latency distribution of storage hash operation.',
    0.01,
    15,
  ),
  etcd_mvcc_hash_rev_duration_seconds: histogram(
    'The latency distribution of storage hash by revision operation.',
    0.01,
    15,
  ),
  etcd_debugging_mvcc_keys_total: gauge('Total number of keys.'),
  etcd_debugging_mvcc_watcher_total: gauge('Total number of watchers.'),
  etcd_debugging_mvcc_watch_stream_total: gauge('Total number of watch streams.'),
  etcd_debugging_mvcc_slow_watcher_total: gauge('Total number of unsynced slow watchers.'),
  etcd_debugging_mvcc_pending_events_total: gauge('Total number of pending events to be sent.'),
  etcd_debugging_mvcc_total_put_size_in_bytes: gauge(
    'The total size of put kv pairs seen by this member.',
  ),
  etcd_debugging_mvcc_compact_revision: gauge('The revision of the last compaction in store.'),
  etcd_debugging_mvcc_current_revision: gauge('The current revision of store.'),
  etcd_debugging_mvcc_events_total: counter('Total number of events sent by this member.'),
  etcd_debugging_mvcc_db_compaction_keys_total: counter('Total number of db keys compacted.'),
  etcd_debugging_mvcc_db_compaction_last: gauge(
    'The unix time of the last db compaction. Resets to 0 on start.',
  ),
  etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds: histogram(
    'Bucketed histogram of db compaction pause duration.',
    1,
    13,
  ),
  etcd_debugging_mvcc_db_compaction_total_duration_milliseconds: histogram(
    'Bucketed histogram of db compaction total duration.',
    100,
    14,
  ),
  etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds: histogram(
    'Bucketed histogram of index compaction pause duration.',
    0.5,
    14,
  ),
  etcd_debugging_mvcc_range_total: counter('Total number of ranges seen by this member.'),
  etcd_debugging_lease_granted_total: counter('The total number of granted leases.'),
  etcd_debugging_lease_revoked_total: counter('The total number of revoked leases.'),
  etcd_debugging_lease_renewed_total: counter('The number of renewed leases seen by the leader.'),
  etcd_debugging_lease_ttl_total: histogram('Bucketed histogram of lease TTLs.', 1, 24),
  etcd_network_active_peers: gauge('The current number of active peer connections.', [
    'Local',
    'Remote',
  ]),
  etcd_network_disconnected_peers_total: counter('The total number of disconnected peers.', [
    'Local',
    'Remote',
  ]),
  etcd_network_peer_sent_bytes_total: counter('The total number of bytes sent to peers.', ['To']),
  etcd_network_peer_sent_failures_total: counter('The total number of send failures from peers.', [
    'To',
  ]),
  etcd_network_peer_received_bytes_total: counter(
    'The total number of bytes received from peers.',
    ['From'],
  ),
  etcd_network_peer_received_failures_total: counter(
    'The total number of receive failures from peers.',
    ['From'],
  ),
  etcd_network_peer_round_trip_time_seconds: histogram(
    'Round-Trip-Time histogram between peers',
    0.0001,
    16,
    ['To'],
  ),
  etcd_network_snapshot_send_inflights_total: gauge('Total number of inflight snapshot sends', [
    'To',
  ]),
  etcd_network_snapshot_send_success: counter('Total number of successful snapshot sends', ['To']),
  etcd_network_snapshot_send_failures: counter('Total number of snapshot send failures', ['To']),
  etcd_network_snapshot_send_total_duration_seconds: histogram(
    'Total latency distributions of v3 snapshot sends',
    0.1,
    10,
    ['To'],
  ),
  etcd_network_snapshot_receive_inflights_total: gauge(
    'Total number of inflight snapshot receives',
    ['From'],
  ),
  etcd_network_snapshot_receive_success: counter('Total number of successful snapshot receives', [
    'From',
  ]),
  etcd_network_snapshot_receive_failures: counter('Total number of snapshot receive failures', [
    'From',
  ]),
  etcd_network_snapshot_receive_total_duration_seconds: histogram(
    'Total latency distributions of v3 snapshot receives',
    0.1,
    10,
    ['From'],
  ),
  etcd_network_client_grpc_sent_bytes_total: counter(
    'The total number of bytes sent to grpc clients.',
  ),
  etcd_network_client_grpc_received_bytes_total: counter(
    'The total number of bytes received from grpc clients.',
  ),
  etcd_network_server_stream_failures_total: counter(
    'The total number of stream failures from the local server.',
    ['Type', 'API'],
  ),
  etcd_http_received_total: counter(
    'Counter of requests received into the system (successfully parsed and authd).',
    ['method'],
  ),
  etcd_http_failed_total: counter(
    'Counter of handle failures of requests (non-watches), by method (GET/PUT etc.) and code ' +
      '(400, 500 etc.).',
    ['method', 'code'],
  ),
  etcd_http_successful_duration_seconds: histogram(
    'Bucketed histogram of processing time (s) of successfully handled requests (non-watches), ' +
      'by method (GET/PUT etc.).',
    0.0005,
    13,
    ['method'],
  ),
  etcd_debugging_store_reads_total: counter(
    'Total number of reads action by (get/getRecursive), local to this member.',
    ['action'],
  ),
  etcd_debugging_store_reads_failed_total: counter(
    'Failed read actions by (get/getRecursive), local to this member.',
    ['action'],
  ),
  etcd_debugging_store_writes_total: counter(
    'Total number of writes (e.g. set/compareAndDelete) seen by this member.',
    ['action'],
  ),
  etcd_debugging_store_writes_failed_total: counter(
    'Failed write actions (e.g. set/compareAndDelete), seen by this member.',
    ['action'],
  ),
  etcd_debugging_store_expires_total: counter('Total number of expired keys.'),
  etcd_debugging_store_watch_requests_total: counter(
    'Total number of incoming watch requests (new or reestablished).',
  ),
  etcd_debugging_store_watchers: gauge('Count of currently active watchers.'),
  process_virtual_memory_max_bytes: gauge('Maximum amount of virtual memory available in bytes.'),
  grpc_server_started_total: counter('Total number of RPCs started on the server.', [
    'grpc_type',
    'grpc_service',
    'grpc_method',
  ]),
  grpc_server_handled_total: counter(
    'Total number of RPCs completed on the server, regardless of success or failure.',
    ['grpc_type', 'grpc_service', 'grpc_method', 'grpc_code'],
  ),
  grpc_server_msg_received_total: counter(
    'Total number of RPC stream messages received on the server.',
    ['grpc_type', 'grpc_service', 'grpc_method'],
  ),
  grpc_server_msg_sent_total: counter('Total number of gRPC stream messages sent by the server.', [
    'grpc_type',
    'grpc_service',
    'grpc_method',
  ]),
} as const satisfies Record<string, Family>

/** Node.js cannot ask for the limit; this is what the others show when there is none. */
const VIRTUAL_MEMORY_UNLIMITED = 2 ** 64

export type MetricName = keyof typeof FAMILIES

/**
 * etcd's metrics over prom-client. What changes on a hot path is counted in plain numbers by its
 * owner and set here by `onScrape`, so that a put costs nothing for being measured.
 */
export class Metrics {
  readonly registry = new Registry()
  readonly #counters = new Map<MetricName, Counter>()
  readonly #gauges = new Map<MetricName, Gauge>()
  readonly #histograms = new Map<MetricName, Histogram>()
  readonly #onScrape: (() => void)[] = []

  constructor() {
    collectDefaultMetrics({ register: this.registry })
    for (const [key, family] of Object.entries(FAMILIES) as [MetricName, Family][]) {
      const common = {
        name: key,
        help: family.help,
        labelNames: [...(family.labels ?? [])],
        registers: [this.registry],
      }
      switch (family.type) {
        case 'counter':
          this.#counters.set(key, new Counter(common))
          break
        case 'gauge':
          this.#gauges.set(key, new Gauge(common))
          break
        default:
          this.#histograms.set(key, new Histogram({ ...common, buckets: [...family.buckets] }))
      }
    }
    this.set('process_virtual_memory_max_bytes', VIRTUAL_MEMORY_UNLIMITED)
  }

  /** Runs before each scrape, to bring figures up to date. */
  onScrape(update: () => void): void {
    this.#onScrape.push(update)
  }

  add(name: MetricName, amount = 1, labels: Labels = {}): void {
    this.#counters.get(name)?.inc(labels, amount)
  }

  /** Sets a gauge; for a counter, the total that its owner has counted. */
  set(name: MetricName, value: number, labels: Labels = {}): void {
    const total = this.#counters.get(name)
    if (total === undefined) this.#gauges.get(name)?.set(labels, value)
    else {
      total.remove(labels)
      total.inc(labels, value)
    }
  }

  observe(name: MetricName, value: number, labels: Labels = {}): void {
    this.#histograms.get(name)?.observe(labels, value)
  }

  async text(): Promise<string> {
    for (const update of this.#onScrape) update()
    return this.registry.metrics()
  }
}
