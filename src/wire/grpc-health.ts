/** grpc.health.v1 (proto3): proto/grpc/health/v1/health.proto. */
import { type Decoded, define, enumeration, message, repeated, string } from './codec.js'

export const SERVING_STATUSES = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'] as const
/** Whether a service can do its work; SERVICE_UNKNOWN is sent by Watch only. */
export type ServingStatus = (typeof SERVING_STATUSES)[number]

export const HealthCheckRequest = define('grpc.health.v1.HealthCheckRequest', {
  service: string(1),
})
export type HealthCheckRequest = Decoded<typeof HealthCheckRequest>

export const HealthCheckResponse = define('grpc.health.v1.HealthCheckResponse', {
  status: enumeration(1, SERVING_STATUSES),
})
export type HealthCheckResponse = Decoded<typeof HealthCheckResponse>

export const HealthListRequest = define('grpc.health.v1.HealthListRequest', {})

/** An entry of the map `statuses`. */
export const HealthListEntry = define('grpc.health.v1.HealthListResponse.StatusesEntry', {
  key: string(1),
  value: message(2, () => HealthCheckResponse),
})
export const HealthListResponse = define('grpc.health.v1.HealthListResponse', {
  statuses: repeated(message(1, () => HealthListEntry)),
})
