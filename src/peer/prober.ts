import { idToHex, type MemberId } from '../base/ids.js'
import { parseRfc3339 } from '../base/rfc3339.js'
import type { PeerAgent } from './dial.js'
import { goDuration } from './go-duration.js'
import type { PeerContext } from './peer-context.js'
import { callPeer } from './peer-request.js'

/** Of each new measurement in the smoothed round trip, as in TCP (RFC 6298). */
const SMOOTHING = 0.125
/** Clocks further apart than this are warned of. */
const CLOCK_DRIFT_MAX_MS = 1000
const ANSWER_BYTES_MAX = 4096

/** Both of etcd's transports are probed; operators know them by these names. */
const TRANSPORTS = ['ROUND_TRIPPER_SNAPSHOT', 'ROUND_TRIPPER_RAFT_MESSAGE'] as const

/**
 * Watches over the way to one peer by asking for its time (facts: peer-protocol.md 7). Logs and
 * metrics only.
 */
export class Prober {
  readonly #probes: readonly Probe[]

  constructor(context: PeerContext, agent: PeerAgent, peerId: MemberId, urls: readonly string[]) {
    this.#probes = TRANSPORTS.map((name) => new Probe({ context, agent, peerId, urls, name }))
  }

  stop(): void {
    for (const probe of this.#probes) probe.stop()
  }
}

interface ProbeOptions {
  readonly context: PeerContext
  readonly agent: PeerAgent
  readonly peerId: MemberId
  readonly urls: readonly string[]
  readonly name: string
}

class Probe {
  readonly #options: ProbeOptions
  readonly #urls: readonly URL[]
  readonly #interval: NodeJS.Timeout
  #report: NodeJS.Timeout
  #abort: (() => void) | undefined
  #at = 0
  #smoothedMs = 0
  #driftMs = 0
  /**
   * The last failure; undefined = the last probe was answered. Unhealthy until the first answer.
   */
  #error: string | undefined = 'not probed yet'

  constructor(options: ProbeOptions) {
    this.#options = options
    this.#urls = options.urls.map((url) => new URL(url))
    const { probeMs, probeReportUnhealthyMs } = options.context.timings
    this.#interval = setInterval(() => this.#probe(), probeMs)
    this.#report = setTimeout(() => this.#look(), probeReportUnhealthyMs)
    this.#interval.unref()
    this.#report.unref()
  }

  stop(): void {
    clearInterval(this.#interval)
    clearTimeout(this.#report)
    this.#abort?.()
  }

  #probe(): void {
    if (this.#abort !== undefined) return
    const { context, agent } = this.#options
    const url = this.#urls[this.#at % this.#urls.length]
    if (url === undefined) return
    const startMs = context.clock.monotonicMs()
    const call = callPeer({
      url,
      method: 'GET',
      path: '/raft/probing',
      agent,
      timeoutMs: context.timings.streamIdleMs,
      answerBytesMax: ANSWER_BYTES_MAX,
    })
    this.#abort = () => call.abort()
    call.then(
      ({ body }) => this.#onAnswer(context.clock.monotonicMs() - startMs, body.toString('utf8')),
      (error: Error) => this.#onFailure(error.message),
    )
  }

  #onAnswer(roundTripMs: number, text: string): void {
    this.#abort = undefined
    const unixNanos = remoteTime(text)
    if (unixNanos === undefined) {
      this.#onFailure('the answer is not a probe')
      return
    }
    this.#error = undefined
    this.#smoothedMs = (1 - SMOOTHING) * this.#smoothedMs + SMOOTHING * roundTripMs
    const remoteMs = Number(unixNanos / 1000n) / 1000
    this.#driftMs = this.#options.context.clock.wallMs() - remoteMs - this.#smoothedMs / 2
  }

  #onFailure(error: string): void {
    this.#abort = undefined
    this.#error = error
    this.#at++
  }

  #look(): void {
    const { context, peerId, name } = this.#options
    const { probeReportHealthyMs, probeReportUnhealthyMs } = context.timings
    const fields = { 'round-tripper-name': name, 'remote-peer-id': idToHex(peerId) }
    const rtt = goDuration(this.#smoothedMs)
    if (this.#error !== undefined) {
      const line = 'prober detected unhealthy status'
      context.log.warn(line, { ...fields, rtt, error: this.#error })
    }
    if (this.#driftMs > CLOCK_DRIFT_MAX_MS) {
      const drift = goDuration(this.#driftMs)
      context.log.warn('prober found high clock drift', { ...fields, 'clock-drift': drift, rtt })
    }
    context.observer?.roundTrip(peerId, this.#smoothedMs / 1000)
    const nextMs = this.#error === undefined ? probeReportHealthyMs : probeReportUnhealthyMs
    this.#report = setTimeout(() => this.#look(), nextMs)
    this.#report.unref()
  }
}

function remoteTime(text: string): bigint | undefined {
  const match = /"Now":"([^"]*)"/.exec(text)
  return match === null ? undefined : parseRfc3339(match[1] ?? '')
}
