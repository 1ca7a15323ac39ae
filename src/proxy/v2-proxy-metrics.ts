import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client'

/** Why a request did not reach a member, or its answer did not come back. */
export type DropReason = 'zero_endpoints' | 'failed_sending_request' | 'failed_getting_response'

const BUCKET_FIRST_SECONDS = 0.0005
const BUCKET_COUNT = 13
/** Of methods that HTTP does not know there may be any number; they are counted under one name. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'])
const labelOf = (method: string): string => (METHODS.has(method) ? method : 'OTHER')

/** What a v2 proxy counts (facts: ops.md 1.4). */
export class V2ProxyMetrics {
  readonly #registry = new Registry()
  readonly #requests: Counter
  readonly #handled: Counter
  readonly #dropped: Counter
  readonly #durations: Histogram

  constructor() {
    const registers = [this.#registry]
    collectDefaultMetrics({ register: this.#registry })
    this.#requests = new Counter({
      name: 'etcd_proxy_requests_total',
      help: 'Counter requests incoming by method.',
      labelNames: ['method'],
      registers,
    })
    this.#handled = new Counter({
      name: 'etcd_proxy_handled_total',
      help: 'Counter of requests fully handled (by authoratitave servers)',
      labelNames: ['method', 'code'],
      registers,
    })
    this.#dropped = new Counter({
      name: 'etcd_proxy_dropped_total',
      help: 'Counter of requests dropped on the proxy.',
      labelNames: ['method', 'proxying_error'],
      registers,
    })
    this.#durations = new Histogram({
      name: 'etcd_proxy_handling_duration_seconds',
      help:
        'Bucketed histogram of handling time of successful events (non-watches), ' +
        'by method (GET/PUT etc.).',
      labelNames: ['method'],
      buckets: Array.from({ length: BUCKET_COUNT }, (_, at) => BUCKET_FIRST_SECONDS * 2 ** at),
      registers,
    })
  }

  received(method: string): void {
    this.#requests.inc({ method: labelOf(method) })
  }

  /** The head of a member's answer came after `tookMs`. */
  handled(method: string, outcome: Readonly<{ status: number; tookMs: number }>): void {
    this.#handled.inc({ method: labelOf(method), code: outcome.status })
    this.#durations.observe({ method: labelOf(method) }, outcome.tookMs / 1000)
  }

  dropped(method: string, reason: DropReason): void {
    this.#dropped.inc({ method: labelOf(method), proxying_error: reason })
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  text(): Promise<string> {
    return this.#registry.metrics()
  }
}
