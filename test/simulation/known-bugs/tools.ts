import type { MemberLog } from '../../../src/member/member-parts.js'
import { LOCAL_APPEND_THREAD } from '../../../src/raft/message.js'
import type { RaftMessage, RawNode, Ready } from '../../../src/raft/raw-node.js'
import type { NodeAdapter, SimulatedNode } from '../node.js'
import type { FaultKind, SimulationOptions, WorkKind } from '../options.js'

/** A cluster of three under the faults and the work in which a mistake can matter. */
export function shaped(
  faults: Partial<Record<FaultKind, number>>,
  workload: Partial<Record<WorkKind, number>> = {},
  member: Partial<SimulationOptions['member']> = {},
): (options: SimulationOptions) => SimulationOptions {
  return (options) => {
    const none = Object.fromEntries(Object.keys(options.faults).map((kind) => [kind, 0]))
    return {
      ...options,
      memberCount: 3,
      safetySeconds: 25,
      faultMeanMs: 700,
      thinkMeanMs: 30,
      faults: { ...(none as SimulationOptions['faults']), ...faults },
      workload: { ...options.workload, ...workload },
      member: { ...options.member, ...member },
    }
  }
}

/** The same with watchers. */
export const watched =
  (shape: (options: SimulationOptions) => SimulationOptions) =>
  (options: SimulationOptions): SimulationOptions => ({ ...shape(options), watcherCount: 6 })

export const POWER = { 'power-loss': 5, 'power-loss-all': 3, crash: 2 } as const
export const PARTITIONS = { partition: 4, 'isolate-leader': 6, pause: 3 } as const

/** Lets `change` see what the core wants before the member does. */
export function changingReady(
  change: (ready: Ready, place: SimulatedNode, node: RawNode) => Ready,
): NodeAdapter {
  return {
    node: (place, node) => {
      const ready = node.ready.bind(node)
      node.ready = () => change(ready(), place, node)
      return node
    },
  }
}

export const withMessages = (ready: Ready, messages: readonly RaftMessage[]): Ready => ({
  ...ready,
  messages: [...messages],
})

/** Lets some of what waits for the disk leave at once. */
export function sendingEarly(
  isEarly: (response: RaftMessage, place: SimulatedNode) => boolean,
): NodeAdapter {
  return changingReady((ready, place) => {
    const early: RaftMessage[] = []
    const messages = ready.messages.map((message): RaftMessage => {
      const { responses } = message
      if (message.to !== LOCAL_APPEND_THREAD || responses === undefined) return message
      early.push(...responses.filter((response) => isEarly(response, place)))
      return { ...message, responses: responses.filter((response) => !early.includes(response)) }
    })
    return withMessages(ready, [...messages, ...early])
  })
}

/** Replaces a log's `save`. */
export const changingSave = (
  save: (log: MemberLog, ...args: Parameters<MemberLog['save']>) => void,
): NodeAdapter => ({
  log: (_place, log) => ({
    save: (write, done) => save(log, write, done),
    saveSnapshot: (snapshot, done) => log.saveSnapshot(snapshot, done),
    close: (done) => log.close(done),
  }),
})

/**
 * Puts another method in the place of one of a class, for all of its objects; the result puts it
 * back.
 */
export function replaced<Owner extends object, Name extends keyof Owner>(
  prototype: Owner,
  name: Name,
  make: (original: Owner[Name]) => Owner[Name],
): () => void {
  const original = prototype[name]
  prototype[name] = make(original)
  return () => {
    prototype[name] = original
  }
}
