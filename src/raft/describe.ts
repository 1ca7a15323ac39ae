/** Text forms, equal to etcd's: log lines, status output and transcripts are made of them. */
import type { MemberId } from '../base/ids.js'
import { idToHex, NO_MEMBER } from '../base/ids.js'
import type { ConfState, Entry, HardState, Snapshot } from '../wire/raftpb.js'
import { asConfChangeV2, decodeConfChange, describeChanges } from './confchange/conf-change.js'
import {
  isEmptySnapshot,
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  type RaftMessage,
} from './message.js'
import type { RaftRole, Ready, SoftState } from './ready.js'
import { type ProgressStatus, progressStatusOf } from './status.js'
import type { Progress, ProgressState } from './tracker/progress.js'
import { sortedIds, type TrackerConfig } from './tracker/progress-tracker.js'

const ROLE_NAMES: Readonly<Record<RaftRole, string>> = {
  follower: 'StateFollower',
  candidate: 'StateCandidate',
  'pre-candidate': 'StatePreCandidate',
  leader: 'StateLeader',
}
const PROGRESS_NAMES: Readonly<Record<ProgressState, string>> = {
  probe: 'StateProbe',
  replicate: 'StateReplicate',
  snapshot: 'StateSnapshot',
}

export const describeRole = (role: RaftRole): string => ROLE_NAMES[role]

/** `(1 2 3)`. */
export const describeIds = (ids: Iterable<MemberId>): string => `(${sortedIds(ids).join(' ')})`

/** `voters=(1 2)&&(1) learners=(3) learners_next=(4) autoleave`, without what is empty. */
export function describeConfig(config: TrackerConfig): string {
  const parts = [`voters=${describeIds(config.incoming)}`]
  if (config.outgoing.size > 0) parts[0] += `&&${describeIds(config.outgoing)}`
  if (config.learners.size > 0) parts.push(`learners=${describeIds(config.learners)}`)
  if (config.learnersNext.size > 0) {
    parts.push(`learners_next=${describeIds(config.learnersNext)}`)
  }
  if (config.autoLeave) parts.push('autoleave')
  return parts.join(' ')
}

export const describeProgress = (progress: Progress): string =>
  describeProgressStatus(progressStatusOf(progress))

/** `StateReplicate match=7 next=9 learner paused pendingSnap=5 inactive inflight=1[full]`. */
export function describeProgressStatus(status: ProgressStatus): string {
  let text = `${PROGRESS_NAMES[status.state]} match=${status.match} next=${status.next}`
  if (status.isLearner) text += ' learner'
  if (status.isPaused) text += ' paused'
  if (status.pendingSnapshot > 0) text += ` pendingSnap=${status.pendingSnapshot}`
  if (!status.recentActive) text += ' inactive'
  if (status.inflightCount > 0) {
    text += ` inflight=${status.inflightCount}`
    if (status.inflightIsFull) text += '[full]'
  }
  return text
}

export function describeConfState(state: ConfState): string {
  const list = (ids: readonly MemberId[]): string => `[${ids.join(' ')}]`
  return (
    `Voters:${list(state.voters)} VotersOutgoing:${list(state.votersOutgoing)} ` +
    `Learners:${list(state.learners)} LearnersNext:${list(state.learnersNext)} ` +
    `AutoLeave:${state.autoLeave}`
  )
}

export function describeSnapshot(snapshot: Snapshot): string {
  const { index, term, confState } = snapshot.metadata
  return `Index:${index} Term:${term} ConfState:${describeConfState(confState)}`
}

export function describeSoftState(state: SoftState): string {
  return `Lead:${state.lead} State:${describeRole(state.role)}`
}

export function describeHardState(state: HardState): string {
  const vote = state.vote === NO_MEMBER ? '' : ` Vote:${state.vote}`
  return `Term:${state.term}${vote} Commit:${state.commit}`
}

/** Payloads in double quotes; bytes outside printable ASCII escaped. */
function describeData(data: Uint8Array): string {
  let text = ''
  for (const byte of data) {
    if (byte === 0x22 || byte === 0x5c) text += `\\${String.fromCharCode(byte)}`
    else if (byte >= 0x20 && byte < 0x7f) text += String.fromCharCode(byte)
    else if (byte === 0x0a) text += '\\n'
    else text += `\\x${byte.toString(16).padStart(2, '0')}`
  }
  return `"${text}"`
}

/** `term/index type payload`; a configuration change shows as `v1 r2`. */
export function describeEntry(entry: Entry): string {
  const change = decodeConfChange(entry)
  const payload =
    change === undefined
      ? describeData(entry.data)
      : describeChanges(asConfChangeV2(change).changes)
  return `${entry.term}/${entry.index} ${entry.type}${payload === '' ? '' : ` ${payload}`}`
}

function describeTarget(id: MemberId): string {
  if (id === NO_MEMBER) return 'None'
  if (id === LOCAL_APPEND_THREAD) return 'AppendThread'
  if (id === LOCAL_APPLY_THREAD) return 'ApplyThread'
  return idToHex(id)
}

/** One line, or several when there are many entries, a snapshot or responses. */
export function describeMessage(message: RaftMessage, indent = ''): string {
  const { from, to, type, term, logTerm, index, entries, snapshot } = message
  let text = `${indent}${describeTarget(from)}->${describeTarget(to)} ${type}`
  text += ` Term:${term} Log:${logTerm}/${index}`
  if (message.reject) text += ` Rejected (Hint: ${message.rejectHint})`
  if (message.commit !== 0) text += ` Commit:${message.commit}`
  if (message.vote !== undefined && message.vote !== NO_MEMBER) text += ` Vote:${message.vote}`
  const [first] = entries
  if (first !== undefined && entries.length === 1) text += ` Entries:[${describeEntry(first)}]`
  if (entries.length > 1) {
    const lines = entries.map((entry) => `\n${indent}  ${describeEntry(entry)}`)
    text += ` Entries:[${lines.join('')}\n${indent}]`
  }
  if (snapshot !== undefined && !isEmptySnapshot(snapshot)) {
    text += `\n${indent}  Snapshot: ${describeSnapshot(snapshot)}`
  }
  const responses = message.responses ?? []
  if (responses.length > 0) {
    const lines = responses.map((response) => `\n${describeMessage(response, `${indent}  `)}`)
    text += ` Responses:[${lines.join('')}\n${indent}]`
  }
  return text
}

/** One line per part, each ended by a newline; `<empty Ready>` when there is nothing. */
export function describeReady(ready: Ready): string {
  const lines: string[] = []
  if (ready.softState !== undefined) lines.push(describeSoftState(ready.softState))
  if (ready.hardState !== undefined) lines.push(`HardState ${describeHardState(ready.hardState)}`)
  if (ready.readStates.length > 0) {
    const states = ready.readStates.map(({ index, context }) => `{${index} [${context.join(' ')}]}`)
    lines.push(`ReadStates [${states.join(' ')}]`)
  }
  if (ready.entries.length > 0) lines.push('Entries:', ...ready.entries.map(describeEntry))
  if (ready.snapshot !== undefined) lines.push(`Snapshot ${describeSnapshot(ready.snapshot)}`)
  if (ready.committedEntries.length > 0) {
    lines.push('CommittedEntries:', ...ready.committedEntries.map(describeEntry))
  }
  if (ready.messages.length > 0) {
    lines.push('Messages:', ...ready.messages.map((message) => describeMessage(message)))
  }
  if (lines.length === 0) return '<empty Ready>'
  return `Ready MustSync=${ready.mustSync}:\n${lines.join('\n')}\n`
}
