import { CLUSTER_VERSION_PATH } from '../base/v2-paths.js'
import type { Membership } from '../membership/membership.js'
import type { Clock } from '../ports/clock.js'
import type { Log } from '../ports/log.js'
import { V2Request } from '../wire/v2-request.js'
import { decideVersion } from './decide-version.js'
import type { LeaderCalls } from './member-parts.js'

/** Between two looks at the cluster's version by the leader, ms (facts: peer-protocol.md 11). */
const VERSION_PASS_MS = 4000
/** Between two looks of the leader at v2 keys whose time is over, ms. */
const V2_SYNC_MS = 500

export interface ClusterSupervisorHost {
  readonly clock: Clock
  readonly log: Log
  readonly leaderCalls: LeaderCalls
  isLeader(): boolean
  membership(): Membership
  /** Whether some key of the v2 tree has an end. */
  hasV2TtlKeys(): boolean
  proposeV2(request: V2Request): void
  isSelf(id: bigint): boolean
}

/**
 * What the leader looks after besides leases: the cluster's version, and v2 keys whose time is
 * over.
 */
export class ClusterSupervisor {
  readonly #host: ClusterSupervisorHost
  #isAskingVersions = false
  #nextVersionPassMs = 0
  #nextV2SyncMs = 0

  constructor(host: ClusterSupervisorHost) {
    this.#host = host
  }

  /** This member leads from now on: the version is decided at once. */
  onLeading(): void {
    this.#nextVersionPassMs = 0
    this.tick()
  }

  tick(): void {
    if (!this.#host.isLeader()) return
    const nowMs = this.#host.clock.monotonicMs()
    this.#superviseVersion(nowMs)
    this.#superviseV2Expiry(nowMs)
  }

  #superviseVersion(nowMs: number): void {
    if (this.#isAskingVersions || nowMs < this.#nextVersionPassMs) return
    this.#nextVersionPassMs = nowMs + VERSION_PASS_MS
    this.#isAskingVersions = true
    const { leaderCalls, log } = this.#host
    const others = this.#host
      .membership()
      .members()
      .filter(({ id }) => !this.#host.isSelf(id))
    leaderCalls.versions(others, (texts) => {
      this.#isAskingVersions = false
      if (!this.#host.isLeader()) return
      const membership = this.#host.membership()
      const version = decideVersion(membership, texts)
      if (version === undefined) return
      const isFirst = membership.version === undefined
      const what = isFirst ? 'setting up initial cluster version' : 'updating cluster version'
      log.info(`${what} using v2 API`, { 'cluster-version': version })
      const request = V2Request.create({ Method: 'PUT', Path: CLUSTER_VERSION_PATH, Val: version })
      this.#host.proposeV2(request)
    })
  }

  /** Keys whose time is over go on all members together, by an entry that names the time. */
  #superviseV2Expiry(nowMs: number): void {
    if (nowMs < this.#nextV2SyncMs || !this.#host.hasV2TtlKeys()) return
    this.#nextV2SyncMs = nowMs + V2_SYNC_MS
    const Time = BigInt(Math.floor(this.#host.clock.wallMs())) * 1_000_000n
    this.#host.proposeV2(V2Request.create({ Method: 'SYNC', Time }))
  }
}
