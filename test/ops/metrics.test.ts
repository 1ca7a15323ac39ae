// Goal: dashboards and alerts made for etcd find their series here. Method: the families that a real etcd 3.4.23 shows
// after start (test/golden/ops), and those of 3.5 by name, are looked up in what we expose.
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { FAMILIES, Metrics } from '../../src/ops/metrics.js'

const recorded = readFileSync(new URL('../golden/ops/metrics-3.4.23.txt', import.meta.url), 'utf8')

/** Gone in 3.5, and those of the gRPC proxy, which is a program of its own. */
const LEFT_OUT =
  /^etcd_debugging_mvcc_(db_total_size_in_bytes|delete_total|put_total|txn_total)$|^etcd_grpc_proxy_/

/** Vectors, which show no line before their first use, and what 3.5 added. */
const NOT_IN_RECORD: Readonly<Record<string, string>> = {
  etcd_server_learner_promote_failures: 'counter',
  etcd_server_client_requests_total: 'counter',
  etcd_server_healthcheck: 'gauge',
  etcd_server_healthchecks_total: 'counter',
  etcd_server_apply_duration_seconds: 'histogram',
  etcd_disk_wal_write_duration_seconds: 'histogram',
  etcd_debugging_mvcc_db_compaction_last: 'gauge',
  etcd_debugging_mvcc_range_total: 'counter',
  etcd_network_active_peers: 'gauge',
  etcd_network_disconnected_peers_total: 'counter',
  etcd_network_peer_sent_bytes_total: 'counter',
  etcd_network_peer_sent_failures_total: 'counter',
  etcd_network_peer_received_bytes_total: 'counter',
  etcd_network_peer_received_failures_total: 'counter',
  etcd_network_peer_round_trip_time_seconds: 'histogram',
  etcd_network_snapshot_send_inflights_total: 'gauge',
  etcd_network_snapshot_send_success: 'counter',
  etcd_network_snapshot_send_failures: 'counter',
  etcd_network_snapshot_send_total_duration_seconds: 'histogram',
  etcd_network_snapshot_receive_inflights_total: 'gauge',
  etcd_network_snapshot_receive_success: 'counter',
  etcd_network_snapshot_receive_failures: 'counter',
  etcd_network_snapshot_receive_total_duration_seconds: 'histogram',
  etcd_network_server_stream_failures_total: 'counter',
  etcd_http_received_total: 'counter',
  etcd_http_failed_total: 'counter',
  etcd_http_successful_duration_seconds: 'histogram',
  etcd_debugging_store_reads_failed_total: 'counter',
  etcd_debugging_store_writes_failed_total: 'counter',
  grpc_server_started_total: 'counter',
  grpc_server_handled_total: 'counter',
  grpc_server_msg_received_total: 'counter',
  grpc_server_msg_sent_total: 'counter',
}

async function exposed(metrics: Metrics): Promise<ReadonlyMap<string, string>> {
  const lines = (await metrics.text()).matchAll(/^# TYPE (\S+) (\S+)$/gm)
  return new Map([...lines].map((match) => [match[1] ?? '', match[2] ?? '']))
}

describe('the families', () => {
  const etcd = recorded
    .trim()
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([name]) => !LEFT_OUT.test(name ?? ''))

  test('of a real etcd 3.4.23 are all there, with their types', async () => {
    const ours = await exposed(new Metrics())
    const found = etcd.map(([name]) => [name, ours.get(name ?? '')])
    expect(found).toEqual(etcd)
  })

  test('with labels, and those new in 3.5, are there', async () => {
    const ours = await exposed(new Metrics())
    for (const [name, type] of Object.entries(NOT_IN_RECORD)) {
      expect([name, ours.get(name)]).toEqual([name, type])
    }
  })

  test('are no others than these', () => {
    const known = new Set([...etcd.map(([name]) => name), ...Object.keys(NOT_IN_RECORD)])
    expect(Object.keys(FAMILIES).filter((name) => !known.has(name))).toEqual([])
  })

  test('double from bound to bound', () => {
    const { buckets } = FAMILIES.etcd_disk_wal_fsync_duration_seconds as {
      buckets: readonly number[]
    }
    expect(buckets).toHaveLength(14)
    expect(buckets[0]).toBe(0.001)
    expect(buckets[13]).toBe(8.192)
  })
})

describe('Metrics', () => {
  test('sets gauges and the totals that others have counted, and adds to counters', async () => {
    const metrics = new Metrics()
    metrics.set('etcd_server_has_leader', 1)
    metrics.set('etcd_mvcc_put_total', 5)
    metrics.set('etcd_mvcc_put_total', 7)
    metrics.add('etcd_server_health_success')
    metrics.add('etcd_server_health_success', 2)
    metrics.set('etcd_server_id', 1, { server_id: 'c9f751f0b0b4fa5a' })
    metrics.observe('etcd_disk_wal_fsync_duration_seconds', 0.0015)
    const text = await metrics.text()
    expect(text).toContain('\netcd_server_has_leader 1\n')
    expect(text).toContain('\netcd_mvcc_put_total 7\n')
    expect(text).toContain('\netcd_server_health_success 3\n')
    expect(text).toContain('\netcd_server_id{server_id="c9f751f0b0b4fa5a"} 1\n')
    expect(text).toContain('\netcd_disk_wal_fsync_duration_seconds_bucket{le="0.001"} 0\n')
    expect(text).toContain('\netcd_disk_wal_fsync_duration_seconds_bucket{le="0.002"} 1\n')
    expect(text).toContain('\netcd_disk_wal_fsync_duration_seconds_count 1\n')
  })

  test('asks for the figures of the moment before each scrape', async () => {
    const metrics = new Metrics()
    let calls = 0
    metrics.onScrape(() => metrics.set('etcd_debugging_mvcc_keys_total', ++calls))
    expect(await metrics.text()).toContain('\netcd_debugging_mvcc_keys_total 1\n')
    expect(await metrics.text()).toContain('\netcd_debugging_mvcc_keys_total 2\n')
  })
})
