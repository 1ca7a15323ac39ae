// Calls are counted per method, and a unary call above the limit is told once; streams may last.
import { expect, test } from 'vitest'
import { RpcCounts } from '../../src/daemon/metrics-feed.js'
import { Metrics } from '../../src/ops/metrics.js'
import type { RpcMethod } from '../../src/ports/rpc.js'
import { PutRequest, PutResponse } from '../../src/wire/rpc.js'

const codecs = { request: PutRequest, response: PutResponse }
const put = { kind: 'unary', path: '/etcdserverpb.KV/Put', ...codecs, handle() {} } as RpcMethod
const watch = {
  kind: 'bidi-stream',
  path: '/etcdserverpb.Watch/Watch',
  ...codecs,
  handle: () => ({ onRequest() {}, onRequestsEnd() {} }),
} as RpcMethod

test('slow unary calls are told, slow streams are not, and all are counted by code', async () => {
  const slow: string[] = []
  const counts = new RpcCounts([put, watch], {
    aboveMs: 300,
    onSlow: (path, tookMs) => slow.push(`${path} ${tookMs}`),
  })
  counts.started(put)
  counts.received(put, 100)
  counts.handled(put, 0, 299)
  counts.handled(put, 11, 301)
  counts.handled(watch, 1, 100_000)
  expect(slow).toEqual(['/etcdserverpb.KV/Put 301'])
  const metrics = new Metrics()
  counts.writeTo(metrics)
  const text = await metrics.text()
  expect(text).toMatch(/grpc_server_handled_total\{[^}]*Put[^}]*OutOfRange[^}]*\} 1/)
  expect(text).toMatch(/grpc_server_handled_total\{[^}]*Watch[^}]*Canceled[^}]*\} 1/)
  expect(text).toMatch(/etcd_network_client_grpc_received_bytes_total 100/)
})
