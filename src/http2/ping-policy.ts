/** Pings that may come too early before the connection is ended (grpc-go's maxPingStrikes). */
const STRIKES_MAX = 2
/** How far apart pings must be while nothing is under way (grpc-go's defaultPingTimeout). */
const IDLE_PING_MIN_TIME_MS = 7_200_000

/**
 * grpc-go's rules for a client's keep-alive pings: at least the minimum time apart while streams
 * are open, two hours otherwise; what breaks them is a strike, the third one ends the connection.
 * Strikes are forgotten when the server has sent headers or data since.
 */
export class PingPolicy {
  readonly #minTimeMs: number
  #lastMs = Number.NEGATIVE_INFINITY
  #strikes = 0

  /** `minTimeMs` 0 allows every ping. */
  constructor(minTimeMs: number) {
    this.#minTimeMs = minTimeMs
  }

  /** Returns whether the connection must be ended for this ping. */
  isTooMany(nowMs: number, now: { hasStreams: boolean; hasSentSince: boolean }): boolean {
    const minTimeMs = now.hasStreams ? this.#minTimeMs : IDLE_PING_MIN_TIME_MS
    const isEarly = nowMs - this.#lastMs < minTimeMs
    this.#lastMs = nowMs
    if (this.#minTimeMs === 0) return false
    if (now.hasSentSince) this.#strikes = 0
    else if (isEarly) this.#strikes++
    return this.#strikes > STRIKES_MAX
  }
}
