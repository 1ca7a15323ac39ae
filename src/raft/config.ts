import type { LogIndex, MemberId } from '../base/ids.js'
import { NO_MEMBER, ZERO_INDEX } from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import { type RaftLogger, silentLogger } from './logger.js'
import { isLocalThread } from './message.js'
import type { RaftStorage } from './storage.js'

/** How a leader proves that it still leads before it answers a read. */
export type ReadOnlyOption = 'safe' | 'lease-based'

/** How one core behaves. Ticks are calls of `tick()`; the caller decides how long one is. */
export interface RaftConfig {
  /** This member. Not 0, not a local storage thread. */
  readonly id: MemberId
  /**
   * Ticks without word from a leader after which a follower may campaign; the timeout in force is
   * drawn from [electionTicks, 2 x electionTicks - 1]. More than heartbeatTicks, 10 x is good:
   * lower finds a dead leader sooner, but takes a slow network for one.
   */
  readonly electionTicks: number
  /** Ticks between heartbeats of a leader, at least 1. */
  readonly heartbeatTicks: number
  /** The durable log, hard state and configuration from before the start. */
  readonly storage: RaftStorage
  /**
   * Whole number in [0, bound), uniformly drawn: the only randomness, so that runs can be repeated.
   */
  readonly randomBelow: (bound: number) => number
  /**
   * Last index that the state machine has applied; entries above it are handed out again. Default
   * 0.
   */
  readonly applied?: LogIndex
  /**
   * Writes go to LOCAL_APPEND_THREAD and LOCAL_APPLY_THREAD as messages, `advance` is not used.
   * Default false.
   */
  readonly asyncStorageWrites?: boolean
  /**
   * Encoded bytes of entries in one MsgApp; a single entry may be larger. Default 1 MiB. Smaller
   * recovers more smoothly, larger catches up with fewer messages.
   */
  readonly maxSizePerMessageBytes?: number
  /**
   * Encoded bytes of committed entries handed out but not yet applied. Default
   * maxSizePerMessageBytes. At least one entry always goes.
   */
  readonly maxCommittedSizePerReadyBytes?: number
  /**
   * Payload bytes that a leader holds uncommitted; beyond it proposals are dropped. Default no
   * limit: then the caller must bound what it proposes.
   */
  readonly maxUncommittedEntriesBytes?: number
  /**
   * MsgApp under way to one follower, at least 1. Default 512. Should fit the transport's own
   * queue.
   */
  readonly maxInflightMessages?: number
  /** Payload bytes under way to one follower, at least maxSizePerMessageBytes. Default no limit. */
  readonly maxInflightBytes?: number
  /**
   * A leader that has not heard from a quorum for electionTicks steps down, and votes wait for its
   * lease.
   */
  readonly checkQuorum?: boolean
  /**
   * Asks for votes before raising the term, so that a member coming back does not depose a leader.
   */
  readonly preVote?: boolean
  /**
   * Default 'safe': a round of heartbeats. 'lease-based' needs checkQuorum and trusts the clocks.
   */
  readonly readOnlyOption?: ReadOnlyOption
  /** Default: lines are dropped. */
  readonly logger?: RaftLogger
  /** Followers drop proposals instead of forwarding them to the leader. Default false. */
  readonly disableProposalForwarding?: boolean
  /**
   * Takes configuration changes into the log unchecked; they are then checked when applied. Default
   * false.
   */
  readonly disableConfChangeValidation?: boolean
  /** A leader that is removed or demoted becomes a follower when it applies that. Default false. */
  readonly stepDownOnRemoval?: boolean
}

/** A configuration with every default filled in and every bound checked. */
export type CheckedConfig = Required<RaftConfig>

const MAX_SIZE_PER_MESSAGE_BYTES = 1024 * 1024
const MAX_INFLIGHT_MESSAGES = 512

/** Fills in defaults; a value out of its bounds is a programmer error. */
export function checkConfig(config: RaftConfig): CheckedConfig {
  const maxSizePerMessageBytes = config.maxSizePerMessageBytes ?? MAX_SIZE_PER_MESSAGE_BYTES
  const checked: CheckedConfig = {
    id: config.id,
    electionTicks: config.electionTicks,
    heartbeatTicks: config.heartbeatTicks,
    storage: config.storage,
    randomBelow: config.randomBelow,
    applied: config.applied ?? ZERO_INDEX,
    asyncStorageWrites: config.asyncStorageWrites ?? false,
    maxSizePerMessageBytes,
    maxCommittedSizePerReadyBytes: config.maxCommittedSizePerReadyBytes ?? maxSizePerMessageBytes,
    maxUncommittedEntriesBytes: config.maxUncommittedEntriesBytes ?? Number.POSITIVE_INFINITY,
    maxInflightMessages: config.maxInflightMessages ?? MAX_INFLIGHT_MESSAGES,
    maxInflightBytes: config.maxInflightBytes ?? Number.POSITIVE_INFINITY,
    checkQuorum: config.checkQuorum ?? false,
    preVote: config.preVote ?? false,
    readOnlyOption: config.readOnlyOption ?? 'safe',
    logger: config.logger ?? silentLogger,
    disableProposalForwarding: config.disableProposalForwarding ?? false,
    disableConfChangeValidation: config.disableConfChangeValidation ?? false,
    stepDownOnRemoval: config.stepDownOnRemoval ?? false,
  }
  invariant(checked.id !== NO_MEMBER, 'cannot use none as id')
  invariant(!isLocalThread(checked.id), 'cannot use local target as id')
  invariant(checked.heartbeatTicks > 0, 'heartbeat tick must be greater than 0')
  invariant(
    checked.electionTicks > checked.heartbeatTicks,
    'election tick must be greater than heartbeat tick',
  )
  invariant(checked.maxInflightMessages > 0, 'max inflight messages must be greater than 0')
  invariant(
    checked.maxInflightBytes >= checked.maxSizePerMessageBytes,
    'max inflight bytes must be >= max message size',
  )
  invariant(checked.maxCommittedSizePerReadyBytes > 0, 'max committed size must be greater than 0')
  if (checked.readOnlyOption === 'lease-based') {
    invariant(checked.checkQuorum, 'CheckQuorum must be enabled when ReadOnlyOption is lease-based')
  }
  return checked
}
