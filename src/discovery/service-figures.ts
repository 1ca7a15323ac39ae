import { Counter, collectDefaultMetrics, Registry } from 'prom-client'

/** The pages that are counted, each kind of its own. */
export type CountedPage = 'health' | 'new' | 'token'

/** What a discovery service counts, by the names of etcd's own: answers by page, code, method. */
export class ServiceFigures {
  readonly #registry = new Registry()
  readonly #counters: Readonly<Record<CountedPage, Counter<'code' | 'method'>>>

  constructor() {
    collectDefaultMetrics({ register: this.#registry })
    const counter = (page: CountedPage): Counter<'code' | 'method'> =>
      new Counter({
        name: `endpoint_${page}_requests_total`,
        help: `How many /${page} requests processed, partitioned by status code and HTTP method.`,
        labelNames: ['code', 'method'],
        registers: [this.#registry],
      })
    this.#counters = { health: counter('health'), new: counter('new'), token: counter('token') }
  }

  answered(page: CountedPage, code: number, method: string): void {
    this.#counters[page].inc({ code: String(code), method })
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  text(): Promise<string> {
    return this.#registry.metrics()
  }
}
