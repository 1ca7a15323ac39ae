import { type LogIndex, logIndex, memberId, nextIndex } from '../../../src/base/ids.js'
import { ConfChanger, type Membership } from '../../../src/raft/confchange/changer.js'
import { describeConfig, describeProgress } from '../../../src/raft/describe.js'
import {
  compareIds,
  EMPTY_CONFIG,
  ProgressTracker,
} from '../../../src/raft/tracker/progress-tracker.js'
import type { ConfChangeSingle } from '../../../src/wire/raftpb.js'
import { isSet } from './arguments.js'
import type { Command } from './datadriven.js'

const TYPES = {
  v: 'ConfChangeAddNode',
  l: 'ConfChangeAddLearnerNode',
  r: 'ConfChangeRemoveNode',
  u: 'ConfChangeUpdateNode',
} as const

/** `v1 l2 r3 u4`: add a voter, add a learner, remove, update. */
export function parseChanges(text: string): ConfChangeSingle[] {
  return text
    .split(/\s+/)
    .filter((word) => word !== '')
    .map((word) => {
      const type = TYPES[word[0] as keyof typeof TYPES]
      if (type === undefined) throw new Error(`unknown change ${word}`)
      return { type, nodeId: memberId(BigInt(word.slice(1))) }
    })
}

/** Plays the commands `simple`, `enter-joint` and `leave-joint` from an empty configuration. */
export function createConfChangeDriver(): (command: Command) => string {
  const tracker = new ProgressTracker({ countMax: 10, bytesMax: Number.POSITIVE_INFINITY })
  let membership: Membership = { config: EMPTY_CONFIG, progress: new Map() }
  let lastIndex: LogIndex = logIndex(0)
  return (command) => {
    const changer = new ConfChanger(tracker, lastIndex, membership)
    lastIndex = nextIndex(lastIndex)
    const changes = parseChanges(command.input)
    const result =
      command.name === 'simple'
        ? changer.simple(changes)
        : command.name === 'enter-joint'
          ? changer.enterJoint(isSet(command, 'autoleave'), changes)
          : changer.leaveJoint()
    if (typeof result === 'string') return result
    membership = result
    const members = [...result.progress.values()].sort((a, b) => compareIds(a.id, b.id))
    const lines = members.map((progress) => `${progress.id}: ${describeProgress(progress)}`)
    return [describeConfig(result.config), ...lines].join('\n')
  }
}
