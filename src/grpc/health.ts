import type { RpcMethod, StreamCall } from '../ports/rpc.js'
import type { Codec, Encodable } from '../wire/codec.js'
import {
  HealthCheckRequest,
  HealthCheckResponse,
  HealthListRequest,
  HealthListResponse,
  type ServingStatus,
} from '../wire/grpc-health.js'
import { serverStreamMethod, unaryMethod } from './methods.js'
import { STATUS } from './status.js'

/** What a service can be set to. */
export type SettableStatus = Extract<ServingStatus, 'SERVING' | 'NOT_SERVING'>
type CheckResponse = Encodable<typeof HealthCheckResponse>

/** Services that List names, as grpc-go's. */
const LISTED_SERVICES_MAX = 100

/** The service grpc.health.v1.Health. The service '' is the server as a whole. */
export class HealthService {
  readonly methods: readonly RpcMethod[]
  readonly #statuses = new Map<string, SettableStatus>()
  /** Calls of Watch by the service that they watch. */
  readonly #watchers = new Map<string, Set<StreamCall<CheckResponse>>>()

  constructor() {
    this.#statuses.set('', 'NOT_SERVING')
    this.methods = [
      unaryMethod({
        path: '/grpc.health.v1.Health/Check',
        request: HealthCheckRequest as Codec<HealthCheckRequest, never>,
        response: HealthCheckResponse as unknown as Codec<never, CheckResponse>,
        handle: ({ service }, call) => {
          const status = this.#statuses.get(service)
          if (status === undefined) {
            call.fail({ status: STATUS.NOT_FOUND, message: 'unknown service' })
          } else call.reply({ status })
        },
      }),
      unaryMethod({
        path: '/grpc.health.v1.Health/List',
        request: HealthListRequest as Codec<object, never>,
        response: HealthListResponse as unknown as Codec<
          never,
          Encodable<typeof HealthListResponse>
        >,
        handle: (_request, call) => {
          if (this.#statuses.size > LISTED_SERVICES_MAX) {
            const message = `server health list exceeds maximum capacity: ${LISTED_SERVICES_MAX}`
            call.fail({ status: STATUS.RESOURCE_EXHAUSTED, message })
            return
          }
          const statuses = [...this.#statuses].map(([key, status]) => ({ key, value: { status } }))
          call.reply({ statuses })
        },
      }),
      serverStreamMethod({
        path: '/grpc.health.v1.Health/Watch',
        request: HealthCheckRequest as Codec<HealthCheckRequest, never>,
        response: HealthCheckResponse as unknown as Codec<never, CheckResponse>,
        handle: ({ service }, call) => this.#watch(service, call),
      }),
    ]
  }

  /** Tells clients from now on; watchers at once. */
  setStatus(service: string, status: SettableStatus): void {
    if (this.#statuses.get(service) === status) return
    this.#statuses.set(service, status)
    for (const call of this.#watchers.get(service) ?? []) call.send({ status })
  }

  #watch(service: string, call: StreamCall<CheckResponse>): void {
    const watchers = this.#watchers.get(service) ?? new Set()
    this.#watchers.set(service, watchers)
    watchers.add(call)
    call.onCancel(() => {
      watchers.delete(call)
      if (watchers.size === 0) this.#watchers.delete(service)
    })
    call.send({ status: this.#statuses.get(service) ?? 'SERVICE_UNKNOWN' })
  }
}
