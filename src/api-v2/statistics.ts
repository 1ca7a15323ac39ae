/** The figures of /v2/stats that are not the store's (facts: http.md 4). */

/** Requests whose rate is told. */
export const RATE_SAMPLES_MAX = 200
/** Rates are told only while the last request is younger, ms. */
const RATE_STALE_MS = 1000

/** Append requests in one direction. */
export class AppendRate {
  #count = 0
  readonly #times: number[] = []
  readonly #sizes: number[] = []
  #next = 0

  /**
   * Notes a request of `bytes` at `nowMs` (any clock that only goes forward, the same for all
   * calls).
   */
  add(bytes: number, nowMs: number): void {
    this.#count++
    this.#times[this.#next] = nowMs
    this.#sizes[this.#next] = bytes
    this.#next = (this.#next + 1) % RATE_SAMPLES_MAX
  }

  get count(): number {
    return this.#count
  }

  /** Requests and bytes a second over the last samples; zeros when there is nothing recent. */
  rates(nowMs: number): { readonly packages: number; readonly bytes: number } {
    const none = { packages: 0, bytes: 0 }
    const length = this.#times.length
    if (length === 0) return none
    const newest = this.#times[(this.#next + length - 1) % length] ?? 0
    if (nowMs - newest > RATE_STALE_MS) {
      this.#times.length = 0
      this.#sizes.length = 0
      this.#next = 0
      return none
    }
    const oldest = this.#times[length < RATE_SAMPLES_MAX ? 0 : this.#next] ?? 0
    const seconds = (newest - oldest) / 1000
    if (seconds <= 0) return none
    const bytes = this.#sizes.reduce((sum, size) => sum + size, 0)
    return { packages: length / seconds, bytes: bytes / seconds }
  }
}

/** Both directions at one moment. */
export interface TrafficStatistics {
  readonly received: number
  readonly receivedRates: { readonly packages: number; readonly bytes: number }
  readonly sent: number
  readonly sentRates: { readonly packages: number; readonly bytes: number }
}

export const NO_TRAFFIC: TrafficStatistics = {
  received: 0,
  receivedRates: { packages: 0, bytes: 0 },
  sent: 0,
  sentRates: { packages: 0, bytes: 0 },
}

/** How one follower takes its append requests. Latencies in milliseconds. */
export class FollowerStatistics {
  #current = 0
  #sum = 0
  #squares = 0
  #minimum = 2 ** 63
  #maximum = 0
  #success = 0
  #fail = 0

  succeeded(latencyMs: number): void {
    this.#success++
    this.#current = latencyMs
    this.#sum += latencyMs
    this.#squares += latencyMs * latencyMs
    this.#minimum = Math.min(this.#minimum, latencyMs)
    this.#maximum = Math.max(this.#maximum, latencyMs)
  }

  failed(): void {
    this.#fail++
  }

  encode(): string {
    const average = this.#success === 0 ? 0 : this.#sum / this.#success
    const variance = this.#success === 0 ? 0 : this.#squares / this.#success - average * average
    const deviation = Math.sqrt(Math.max(variance, 0))
    const times = [
      `"current":${goFloat(this.#current)}`,
      `"average":${goFloat(average)}`,
      `"standardDeviation":${goFloat(deviation)}`,
      `"minimum":${goFloat(this.#minimum)}`,
      `"maximum":${goFloat(this.#maximum)}`,
    ]
    const counts = `"counts":{"fail":${this.#fail},"success":${this.#success}}`
    return `{"latency":{${times.join(',')}},${counts}}`
  }
}

/**
 * A number as Go writes a float64 in JSON; what JavaScript rounds differently is the first value
 * only.
 */
const goFloat = (value: number): string =>
  value === 2 ** 63 ? '9223372036854775808' : String(value)

/**
 * A duration as Go prints it: `1m2.5s`, `44.7s`, `12.5ms`. Nanoseconds are not known below a
 * microsecond.
 */
export function formatGoDuration(ms: number): string {
  if (ms <= 0) return '0s'
  if (ms < 1) return `${trimmed(ms * 1000, 3)}µs`
  if (ms < 1000) return `${trimmed(ms, 6)}ms`
  const hours = Math.floor(ms / 3_600_000)
  const minutes = Math.floor(ms / 60_000) % 60
  const seconds = trimmed((ms % 60_000) / 1000, 9)
  const lead = hours > 0 ? `${hours}h${minutes}m` : minutes > 0 ? `${minutes}m` : ''
  return `${lead}${seconds}s`
}

const trimmed = (value: number, digits: number): string => String(Number(value.toFixed(digits)))

const two = (value: number): string => String(value).padStart(2, '0')

/** A time as Go's RFC3339Nano in the zone of this process. */
export function formatLocalTime(unixMs: number): string {
  const date = new Date(unixMs)
  const offsetMinutes = -date.getTimezoneOffset()
  const shifted = new Date(unixMs + offsetMinutes * 60_000).toISOString()
  const fraction = shifted.slice(19, 23).replace(/\.?0+$/, '')
  const base = shifted.slice(0, 19) + fraction
  if (offsetMinutes === 0) return `${base}Z`
  const size = Math.abs(offsetMinutes)
  const sign = offsetMinutes < 0 ? '-' : '+'
  return `${base}${sign}${two(Math.floor(size / 60))}:${two(size % 60)}`
}
