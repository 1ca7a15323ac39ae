/** What every part of the transport shares: who we are, and whom to tell. */
import type { ConnectionOptions } from 'node:tls'
import type { ClusterId, MemberId } from '../base/ids.js'
import type { Clock } from '../ports/clock.js'
import type { Log } from '../ports/log.js'
import type { PeerEvents } from '../ports/peer-network.js'
import type { Message } from '../wire/raftpb.js'
import type { PeerTimings } from './peer-limits.js'

/** Told of traffic, for metrics and the v2 statistics. Calls are quick and do not throw. */
export interface PeerObserver {
  /** Bytes that went to a peer by stream, pipeline or snapshot. */
  sent(to: MemberId, bytes: number): void
  sendFailed(to: MemberId): void
  /** Bytes of messages from a member; `from` is 0 for link heartbeats. */
  received(from: MemberId, bytes: number): void
  /** A message from this address could not be read. */
  receiveFailed(remoteAddress: string): void
  /** A smoothed round trip, observed with each look at the probes. */
  roundTrip(to: MemberId, seconds: number): void
  /** A peer became reachable or stopped being so; the latter also counts as a disconnection. */
  activeChanged(peer: MemberId, isActive: boolean): void
  snapshotSendStarted(to: MemberId): void
  snapshotSendEnded(to: MemberId, outcome: 'finish' | 'failure', seconds: number): void
  snapshotReceiveStarted(from: MemberId): void
  snapshotReceiveEnded(from: MemberId, outcome: 'finish' | 'failure', seconds: number): void
  /** One MsgApp was handed to the network; `seconds` is what that took (v2 leader statistics). */
  appendSent(to: MemberId, bytes: number, seconds: number): void
  appendFailed(to: MemberId): void
  appendReceived(from: MemberId, bytes: number): void
}

export interface PeerTransportOptions {
  readonly id: MemberId
  readonly clusterId: ClusterId
  /**
   * Our advertised peer URLs, asked at each request: the receiver may have to answer an unknown
   * sender.
   */
  readonly ownUrls: () => readonly string[]
  readonly events: PeerEvents
  readonly log: Log
  readonly clock: Clock
  /** Until a TCP connection must stand: 1 s + the election timeout (facts: peer-protocol.md 14). */
  readonly dialTimeoutMs: number
  /**
   * Options for one TLS connection, asked at each dial of an https URL; undefined = Node's
   * defaults.
   */
  readonly tlsClientOptions?: () => ConnectionOptions | undefined
  readonly observer?: PeerObserver
  /** Changes to PEER_TIMINGS, for tests. */
  readonly timings?: Partial<PeerTimings>
}

/** The same for the parts inside, with what is made once from it. */
export interface PeerContext extends Omit<PeerTransportOptions, 'timings'> {
  readonly timings: PeerTimings
  /** Gives the member a message whose sender's cluster id, version and membership were checked. */
  readonly deliver: (message: Message) => void
  readonly idText: string
  readonly clusterIdText: string
  /** Reports once that we were removed from the cluster. */
  readonly reportRemoved: () => void
  /** Whether the transport was stopped: nothing is delivered any more. */
  readonly isStopped: () => boolean
}
