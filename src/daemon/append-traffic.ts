import { AppendRate, FollowerStatistics, type TrafficStatistics } from '../api-v2/statistics.js'
import { idToHex, type MemberId } from '../base/ids.js'
import type { Clock } from '../ports/clock.js'

/** MsgApp traffic of this member as `/v2/stats` shows it; fed by the peer transport. */
export class AppendTraffic {
  readonly #clock: Clock
  readonly #sent = new AppendRate()
  readonly #received = new AppendRate()
  readonly #followers = new Map<string, FollowerStatistics>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  appendSent(to: MemberId, bytes: number, seconds: number): void {
    this.#sent.add(bytes, this.#clock.monotonicMs())
    this.#follower(to).succeeded(seconds * 1000)
  }

  appendFailed(to: MemberId): void {
    this.#follower(to).failed()
  }

  appendReceived(_from: MemberId, bytes: number): void {
    this.#received.add(bytes, this.#clock.monotonicMs())
  }

  statistics(): TrafficStatistics {
    const nowMs = this.#clock.monotonicMs()
    return {
      received: this.#received.count,
      receivedRates: this.#received.rates(nowMs),
      sent: this.#sent.count,
      sentRates: this.#sent.rates(nowMs),
    }
  }

  /** By member id as etcd prints it. */
  get followers(): ReadonlyMap<string, FollowerStatistics> {
    return this.#followers
  }

  #follower(id: MemberId): FollowerStatistics {
    const name = idToHex(id)
    const known = this.#followers.get(name)
    if (known !== undefined) return known
    const fresh = new FollowerStatistics()
    this.#followers.set(name, fresh)
    return fresh
  }
}
