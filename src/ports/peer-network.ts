/**
 * The door to the other members: etcd's peer protocol in production, virtual links in the
 * simulator. Types only.
 */
import type { MemberId } from '../base/ids.js'
import type { Message } from '../wire/raftpb.js'

/** The body that follows a MsgSnap: the store's content at the snapshot's index, in chunks. */
export interface SnapshotBody {
  /**
   * The next chunk, or undefined at the end; at most one call at a time. Rejects when it cannot be
   * read.
   */
  next(): Promise<Uint8Array | undefined>
  /** Frees what the body holds; safe to call more than once. */
  close(): void
}

/**
 * What the member asks of the network. Sending never blocks: what cannot be queued is dropped and
 * reported.
 */
export interface PeerNetwork {
  /**
   * Sends in order per target. MsgSnap goes through `sendSnapshot` only. Messages to unknown ids
   * are dropped.
   */
  send(messages: readonly Message[]): void
  /** Lets what was sent leave now: the caller is about to keep the thread busy. */
  flush(): void
  /** Sends one MsgSnap with its body; the outcome comes back through `PeerEvents.snapshotSent`. */
  sendSnapshot(message: Message, body: SnapshotBody): void
  /** Starts talking to a member; a second call for the same id updates its URLs. */
  addPeer(id: MemberId, urls: readonly string[]): void
  /**
   * A sender that is not (yet) in our membership: reached by pipeline only, until it becomes a
   * peer.
   */
  addRemote(id: MemberId, urls: readonly string[]): void
  updatePeer(id: MemberId, urls: readonly string[]): void
  removePeer(id: MemberId): void
  /**
   * Monotonic milliseconds since which the peer has been reachable without a break; undefined when
   * it is not.
   */
  activeSinceMs(id: MemberId): number | undefined
}

/** What the network tells the member. All calls are synchronous and quick. */
export interface PeerEvents {
  /** A message from a peer whose cluster id, version and membership were checked. */
  deliver(message: Message): void
  /** A message to this peer was lost (queue full, connection failed). */
  unreachable(id: MemberId): void
  snapshotSent(id: MemberId, outcome: 'finish' | 'failure'): void
  /**
   * A peer told us that we were removed from the cluster (403 on the pipeline, 410 on a stream).
   */
  removedFromCluster(): void
  /** Whether the id was a member and is not any more: its requests are refused for ever. */
  isRemoved(id: MemberId): boolean
  /** Whether the id is a member now. */
  isMember(id: MemberId): boolean
  /**
   * Takes the body of a MsgSnap before the message is delivered. Resolves once it is durable;
   * rejects when it is not in a form that this daemon can take over.
   */
  receiveSnapshot(message: Message, body: AsyncIterable<Uint8Array>): Promise<void>
}
