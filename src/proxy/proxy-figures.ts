import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'

/** What a gRPC proxy counts (facts: ops.md 1.4). */
export class ProxyFigures {
  readonly #registry = new Registry()
  readonly #hits: Gauge
  readonly #misses: Gauge
  readonly #keys: Gauge
  readonly #watchers: Gauge
  readonly #events: Counter

  constructor() {
    const registers = [this.#registry]
    collectDefaultMetrics({ register: this.#registry })
    const gauge = (name: string, help: string): Gauge => new Gauge({ name, help, registers })
    this.#hits = gauge('etcd_grpc_proxy_cache_hits_total', 'Total number of cache hits')
    this.#misses = gauge('etcd_grpc_proxy_cache_misses_total', 'Total number of cache misses')
    this.#keys = gauge('etcd_grpc_proxy_cache_keys_total', 'Total number of keys/ranges cached')
    this.#watchers = gauge(
      'etcd_grpc_proxy_watchers_coalescing_total',
      'Total number of current watchers coalescing',
    )
    this.#events = new Counter({
      name: 'etcd_grpc_proxy_events_coalescing_total',
      help: 'Total number of events coalescing',
      registers,
    })
  }

  cacheUsed(outcome: 'hit' | 'miss'): void {
    if (outcome === 'hit') this.#hits.inc()
    else this.#misses.inc()
  }

  cacheSize(entries: number): void {
    this.#keys.set(entries)
  }

  /** Watchers that share another's watch, more or fewer than before. */
  watchersShared(change: number): void {
    this.#watchers.inc(change)
  }

  /** Responses that went to more than one watcher. */
  responsesShared(count: number): void {
    this.#events.inc(count)
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  text(): Promise<string> {
    return this.#registry.metrics()
  }
}
