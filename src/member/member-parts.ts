/**
 * What a member is composed of beside its own logic: narrow interfaces that its real and simulated
 * parts have.
 */
import type { MemberId } from '../base/ids.js'
import type { Entry, HardState, Snapshot } from '../wire/raftpb.js'

/** Ends an operation: undefined when it succeeded. */
export type Done = (failure: Error | undefined) => void

/** The write-ahead log as the member uses it. Completions come in order. */
export interface MemberLog {
  /** One durable write; without `mustSync` it may stay in the operating system's memory. */
  save(
    write: {
      readonly hardState: HardState | undefined
      readonly entries: readonly Entry[]
      readonly mustSync: boolean
    },
    done: Done,
  ): void
  /**
   * Makes a snapshot durable: its file first, then its record in the log; then frees what it
   * replaces.
   */
  saveSnapshot(snapshot: Snapshot, done: Done): void
  close(done: Done): void
}

/** Calls that only the leader can answer, carried to it (facts: peer-protocol.md 13). */
export interface LeaderCalls {
  keepAlive(urls: readonly string[], id: bigint, done: (outcome: LeaseAnswer) => void): void
  timeToLive(
    urls: readonly string[],
    request: { readonly id: bigint; readonly keys: boolean },
    done: (outcome: TimeToLiveAnswer) => void,
  ): void
  promote(urls: readonly string[], id: MemberId, done: (outcome: PromoteAnswer) => void): void
  /** `/version` of every other member; undefined for those that did not answer. */
  versions(
    members: readonly { readonly id: MemberId; readonly peerUrls: readonly string[] }[],
    done: (versions: readonly (string | undefined)[]) => void,
  ): void
}

type Unreachable = {
  readonly kind: 'failed'
  readonly code: 'LEASE_NOT_FOUND' | 'TIMEOUT' | 'NO_LEADER'
}

export type LeaseAnswer = { readonly kind: 'renewed'; readonly ttlSeconds: number } | Unreachable
export type TimeToLiveAnswer =
  | {
      readonly kind: 'found'
      /** Whole seconds left. */
      readonly ttlSeconds: number
      readonly grantedTtlSeconds: number
      /** As latin1 strings. */
      readonly keys: readonly string[]
    }
  | Unreachable
export type PromoteAnswer =
  | { readonly kind: 'changed' }
  | {
      readonly kind: 'failed'
      readonly code:
        | 'MEMBER_NOT_FOUND'
        | 'MEMBER_NOT_LEARNER'
        | 'LEARNER_NOT_READY'
        | 'NO_LEADER'
        | 'TIMEOUT'
    }
