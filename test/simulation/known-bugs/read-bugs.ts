import type { MemberId } from '../../../src/base/ids.js'
import type { KnownBug } from './known-bug.js'
import { PARTITIONS, shaped } from './tools.js'

/** Ticks for which a leader believes what a quorum last told it: an election timeout at most. */
const LEASE_TICKS = 5

/** Reads that are not as new as they must be. */
export const READ_BUGS: readonly KnownBug[] = [
  {
    name: 'read index without asking a quorum',
    foundBy: ['replay-check'],
    shape: (options) => ({
      ...shaped(PARTITIONS, { get: 40, put: 20 })(options),
      clientCount: 8,
      thinkMeanMs: 10,
    }),
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
    name: 'a leader that stood still answers reads by its lease',
    foundBy: ['replay-check', 'read-index'],
    shape: (options) => ({
      ...shaped({ pause: 10, 'isolate-leader': 2 }, { get: 40, put: 20 })(options),
      clientCount: 8,
      thinkMeanMs: 10,
    }),
    create: () => ({
      node: (place, node) => {
        let ticks = 0
        const heardAt = new Map<MemberId, number>()
        const [tick, step] = [node.tick.bind(node), node.step.bind(node)]
        node.tick = () => {
          ticks++
          tick()
        }
        node.step = (message) => {
          const { type, from } = message
          if (type === 'MsgAppResp' || type === 'MsgHeartbeatResp') heardAt.set(from, ticks)
          return step(message)
        }
        const holdsLease = (): boolean => {
          const { config, hardState, softState } = node.status()
          if (softState.role !== 'leader' || place.storage === undefined) return false
          if (place.storage.term(hardState.commit) !== hardState.term) return false
          const heard = config.voters.filter(
            (id) => id === place.memberId || ticks - (heardAt.get(id) ?? -1000) < LEASE_TICKS,
          )
          return heard.length > config.voters.length / 2
        }
        const [readIndex, ready, hasReady] = [
          node.readIndex.bind(node),
          node.ready.bind(node),
          node.hasReady.bind(node),
        ]
        const own: Uint8Array[] = []
        node.readIndex = (context) => {
          if (holdsLease()) own.push(context)
          else readIndex(context)
        }
        node.hasReady = () => own.length > 0 || hasReady()
        node.ready = () => {
          const result = ready()
          const readStates = own.splice(0).map((context) => ({ index: node.committed, context }))
          return { ...result, readStates: [...result.readStates, ...readStates] }
        }
        return node
      },
    }),
  },
]
