import type { Member } from '../../../src/member/member.js'
import type { MemberLog } from '../../../src/member/member-parts.js'
import { LOCAL_APPEND_THREAD } from '../../../src/raft/message.js'
import type { RaftMessage, RawNode, Ready } from '../../../src/raft/raw-node.js'
import type { NodeAdapter, SimulatedNode } from '../node.js'
import type { FaultKind, SimulationOptions, WorkKind } from '../options.js'
import type { KnownBug } from './known-bug.js'

/** A cluster of three under the faults and the work that bring a mistake to light. */
function shaped(
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

/** Lets `change` see what the core wants before the member does. */
function changingReady(
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

/** Replaces a log's `save`. */
const changingSave = (
  save: (log: MemberLog, ...args: Parameters<MemberLog['save']>) => void,
): NodeAdapter => ({
  log: (_place, log) => ({
    save: (write, done) => save(log, write, done),
    saveSnapshot: (snapshot, done) => log.saveSnapshot(snapshot, done),
    close: (done) => log.close(done),
  }),
})

const withMessages = (ready: Ready, messages: readonly RaftMessage[]): Ready => ({
  ...ready,
  messages: [...messages],
})

const POWER = { 'power-loss': 5, 'power-loss-all': 3, crash: 2 } as const
const PARTITIONS = { partition: 4, 'isolate-leader': 6, pause: 3 } as const

export const KNOWN_BUGS: readonly KnownBug[] = [
  {
    name: 'entries acknowledged before they are durable',
    foundBy: ['commit-history', 'replay-check', 'no-crash', 'durability', 'liveness'],
    shape: shaped(POWER),
    create: () =>
      changingSave((log, write, done) => {
        log.save(write, () => undefined)
        done(undefined)
      }),
  },
  {
    name: 'entries written without a sync',
    foundBy: [
      'one-vote',
      'one-leader',
      'commit-history',
      'replay-check',
      'no-crash',
      'durability',
      'liveness',
    ],
    shape: shaped(POWER),
    create: () => changingSave((log, write, done) => log.save({ ...write, mustSync: false }, done)),
  },
  {
    name: 'a member votes for everybody who asks',
    foundBy: ['one-leader', 'one-vote', 'commit-history', 'replay-check', 'no-crash'],
    shape: shaped(
      { crash: 10, 'power-loss': 4, 'isolate-leader': 6 },
      {},
      { preVote: false, electionTicks: 3 },
    ),
    create: () =>
      changingReady((ready) => {
        const granted = (message: RaftMessage): RaftMessage =>
          message.type === 'MsgVoteResp' ? { ...message, reject: false } : message
        const messages = ready.messages.map((message): RaftMessage => {
          if (message.responses === undefined) return granted(message)
          return { ...message, responses: message.responses.map(granted) }
        })
        return withMessages(ready, messages)
      }),
  },
  {
    name: 'the term is not kept over a restart',
    foundBy: ['one-leader', 'one-vote', 'commit-history', 'no-crash', 'hard-state', 'liveness'],
    shape: shaped({ 'power-loss-all': 5, crash: 3, 'isolate-leader': 3 }),
    create: () =>
      changingSave((log, write, done) => log.save({ ...write, hardState: undefined }, done)),
  },
  {
    name: 'read index without asking a quorum',
    foundBy: ['replay-check'],
    shape: shaped(PARTITIONS, { get: 20, put: 20 }),
    create: () => ({
      node: (_place, node) => {
        const readIndex = node.readIndex.bind(node)
        const ready = node.ready.bind(node)
        const own: Uint8Array[] = []
        node.readIndex = (context) => {
          if (node.basicStatus().softState.role === 'leader') own.push(context)
          else readIndex(context)
        }
        const hasReady = node.hasReady.bind(node)
        node.hasReady = () => own.length > 0 || hasReady()
        node.ready = () => {
          const result = ready()
          const index = node.basicStatus().hardState.commit
          const readStates = own.splice(0).map((context) => ({ index, context }))
          return { ...result, readStates: [...result.readStates, ...readStates] }
        }
        return node
      },
    }),
  },
  {
    name: 'a linearizable read is answered from what is applied here',
    foundBy: ['replay-check'],
    shape: shaped(PARTITIONS, { get: 20, put: 20 }),
    create: () => ({
      member: (_place, member) => {
        member.linearize = (done) => done(undefined)
      },
    }),
  },
  {
    name: 'an entry is applied twice after a restart',
    foundBy: [
      'equal-state',
      'model',
      'equal-hash',
      'no-crash',
      'replay-check',
      'watch',
      'monotonic',
    ],
    shape: shaped({ crash: 4, 'power-loss': 4 }),
    create: () => ({
      member: (_place, member) => {
        const { backend } = member
        let isFirst = true
        const index = backend.consistentIndex
        // Once after each start the member believes that the last entry is not in its store.
        Object.defineProperty(backend, 'consistentIndex', {
          configurable: true,
          get() {
            if (isFirst && index > 5) {
              isFirst = false
              return index - 1
            }
            delete (backend as { consistentIndex?: unknown }).consistentIndex
            return backend.consistentIndex
          },
        })
      },
    }),
  },
  {
    name: 'a proposal is appended twice',
    foundBy: ['replay-check', 'no-crash'],
    create: (prng) => ({
      node: (_place, node) => {
        const propose = node.propose.bind(node)
        node.propose = (datas) => {
          const outcome = propose(datas)
          if (prng.perMille(20)) propose(datas)
          return outcome
        }
        return node
      },
    }),
  },
  {
    name: 'an entry is applied on one member only in part',
    foundBy: ['equal-state', 'model', 'equal-hash', 'replay-check', 'watch'],
    create: (prng) => ({
      member: (place, member) => {
        if (place.place !== 0) return
        const { machine, store } = member.state
        const apply = machine.apply.bind(machine)
        machine.apply = (entry, nowMs) => {
          if (entry.operation === 'deleteRange' && prng.perMille(100)) {
            const revision = store.currentRevision
            return {
              outcome: { kind: 'applied', response: { deleted: 0, prevKvs: [] }, revision },
              events: [],
              isOverQuota: false,
            }
          }
          return apply(entry, nowMs)
        }
      },
    }),
    shape: shaped({}, { 'delete-range': 10, delete: 10, put: 20 }),
  },
  {
    name: 'a watcher misses an event now and then',
    foundBy: ['watch'],
    shape: (options) => ({ ...options, watcherCount: 6 }),
    create: (prng) => ({
      member: (_place, member) => {
        const notify = member.hub.notify.bind(member.hub)
        member.hub.notify = (revision, events) => {
          const [, ...rest] = events
          if (prng.perMille(30) && rest.length > 0) notify(revision, rest)
          else notify(revision, events)
        }
      },
    }),
  },
  {
    name: 'a watcher that was behind skips a revision',
    foundBy: ['watch'],
    shape: (options) => ({ ...options, watcherCount: 6 }),
    create: (prng) => ({
      member: (_place, member) => {
        const { store } = member
        const eventsSince = store.eventsSince.bind(store)
        store.eventsSince = (wanted, done) => {
          const isSkipping = prng.perMille(100) && wanted.from < wanted.to
          eventsSince(isSkipping ? { ...wanted, from: wanted.from + 1 } : wanted, done)
        }
      },
    }),
  },
  {
    name: 'a previous value is that of another revision',
    foundBy: ['watch'],
    shape: (options) => ({
      ...options,
      watcherCount: 6,
      keyCount: 2,
      workload: { ...options.workload, put: 20 },
    }),
    create: () => ({
      member: (_place, member) => {
        const { store } = member
        const prevKv = store.prevKv.bind(store)
        store.prevKv = (event) =>
          prevKv({ ...event, modRevision: (event.modRevision - 1) as typeof event.modRevision })
      },
    }),
  },
  {
    name: 'leases end at half their time',
    foundBy: ['lease-time'],
    shape: shaped({}, { grant: 20, renew: 20, revoke: 0, put: 20 }),
    create: () => ({
      member: (_place, member) => {
        const { lessor } = member.state
        const expired = lessor.expired.bind(lessor)
        lessor.expired = (nowMs, max) => expired(nowMs + 1500, max)
      },
    }),
  },
  {
    name: 'a new leader goes on with leases as if no time could be missing',
    foundBy: ['lease-time'],
    shape: shaped(
      { 'move-leader': 10, 'isolate-leader': 5 },
      { grant: 20, renew: 20, revoke: 0, put: 20 },
      { leaseCheckpoints: false },
    ),
    create: () => ({
      member: (_place, member) => {
        const { lessor } = member.state
        const promote = lessor.promote.bind(lessor)
        lessor.promote = (_extendMs, nowMs) => promote(-3000, nowMs)
      },
    }),
  },
  {
    name: 'a snapshot is taken over before it is durable in the log',
    foundBy: [
      'no-crash',
      'equal-state',
      'commit-history',
      'durability',
      'liveness',
      'model',
      'monotonic',
    ],
    shape: shaped(
      { ...POWER, 'isolate-leader': 3 },
      { put: 30 },
      { snapshotCount: 3, catchUpEntries: 1 },
    ),
    create: () => ({
      log: (_place, log) => ({
        save: (write, done) => log.save(write, done),
        saveSnapshot: (_snapshot, done) => done(undefined),
        close: (done) => log.close(done),
      }),
    }),
  },
  {
    name: 'a compaction takes a revision too many',
    foundBy: ['model', 'equal-state', 'watch', 'replay-check', 'no-crash', 'equal-hash'],
    shape: shaped({}, { compact: 10, put: 20, 'get-old': 20 }, { compactionBatchLimit: 1000 }),
    create: () => ({
      member: (_place: SimulatedNode, member: Member) => {
        const { store } = member
        const compact = store.compact.bind(store)
        store.compact = (wanted) => compact(Math.min(store.currentRevision, wanted + 1))
      },
    }),
  },
  {
    name: 'appends are acknowledged before the write',
    foundBy: ['commit-history', 'replay-check', 'no-crash', 'durability', 'liveness'],
    shape: shaped(POWER),
    create: () =>
      changingReady((ready, place) => {
        const early: RaftMessage[] = []
        const messages = ready.messages.map((message): RaftMessage => {
          if (message.to !== LOCAL_APPEND_THREAD) return message
          for (const response of message.responses ?? [])
            if (response.to !== place.memberId && response.type === 'MsgAppResp')
              early.push(response)
          const kept = (message.responses ?? []).filter((response) => !early.includes(response))
          return { ...message, responses: kept }
        })
        return withMessages(ready, [...messages, ...early])
      }),
  },
  {
    name: 'an entry is left out at apply after a restart',
    foundBy: [
      'equal-state',
      'model',
      'equal-hash',
      'no-crash',
      'replay-check',
      'watch',
      'durability',
    ],
    shape: shaped({ crash: 4, 'power-loss': 4 }, { put: 30 }, { backendBatchIntervalMs: 1000 }),
    create: () => ({
      member: (_place, member) => {
        const { backend } = member
        // The index is believed to be one further than the store is.
        if (backend.consistentIndex > 5)
          backend.setConsistentIndex(
            (backend.consistentIndex + 1) as typeof backend.consistentIndex,
            backend.consistentTerm,
          )
      },
    }),
  },
]
