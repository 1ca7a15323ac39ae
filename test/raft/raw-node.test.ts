// Goal: the face of the core refuses what it must, and reports what it knows. Method: one or two cores driven
// by hand.
import { describe, expect, test } from 'vitest'
import { logIndex, type MemberId, memberId, term } from '../../src/base/ids.js'
import { MemoryStorage } from '../../src/raft/memory-storage.js'
import {
  createMessage,
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  type MessageType,
} from '../../src/raft/message.js'
import { outcomeText } from '../../src/raft/outcome.js'
import { type RaftConfig, RawNode } from '../../src/raft/raw-node.js'
import type { ConfState, Entry } from '../../src/wire/raftpb.js'

const ONE = memberId(1n)
const TWO = memberId(2n)
const THREE = memberId(3n)
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

function storageWith(
  voters: readonly MemberId[],
  learners: readonly MemberId[] = [],
): MemoryStorage {
  const storage = new MemoryStorage()
  const confState: ConfState = {
    voters,
    learners,
    votersOutgoing: [],
    learnersNext: [],
    autoLeave: false,
  }
  const metadata = { confState, index: logIndex(1), term: term(1) }
  storage.applySnapshot({ data: bytes(''), metadata })
  return storage
}

function configOf(storage: MemoryStorage, more: Partial<RaftConfig> = {}): RaftConfig {
  return {
    id: ONE,
    electionTicks: 10,
    heartbeatTicks: 1,
    storage,
    randomBelow: () => 0,
    applied: logIndex(1),
    ...more,
  }
}

/** Does what the core asks for until it asks for nothing; returns what it committed. */
function run(core: RawNode, storage: MemoryStorage): Entry[] {
  const committed: Entry[] = []
  while (core.hasReady()) {
    const ready = core.ready()
    if (ready.hardState !== undefined) storage.setHardState(ready.hardState)
    storage.append(ready.entries)
    committed.push(...ready.committedEntries)
    core.advance()
  }
  return committed
}

function leaderOfOne(more: Partial<RaftConfig> = {}): { core: RawNode; storage: MemoryStorage } {
  const storage = storageWith([ONE])
  const core = new RawNode(configOf(storage, more))
  core.campaign()
  run(core, storage)
  return { core, storage }
}

describe('configuration', () => {
  const storage = storageWith([ONE])
  const refused: readonly (readonly [string, Partial<RaftConfig>])[] = [
    ['cannot use none as id', { id: memberId(0n) }],
    ['cannot use local target as id', { id: LOCAL_APPLY_THREAD }],
    ['heartbeat tick must be greater than 0', { heartbeatTicks: 0 }],
    ['election tick must be greater than heartbeat tick', { electionTicks: 1 }],
    ['max inflight messages must be greater than 0', { maxInflightMessages: 0 }],
    ['max inflight bytes must be >= max message size', { maxInflightBytes: 1 }],
    ['max committed size must be greater than 0', { maxCommittedSizePerReadyBytes: 0 }],
    ['CheckQuorum must be enabled', { readOnlyOption: 'lease-based' }],
  ]
  for (const [message, part] of refused) {
    test(`refused: ${message}`, () => {
      expect(() => new RawNode(configOf(storage, part))).toThrow(message)
    })
  }

  test('a hard state beyond the log is a programmer error', () => {
    const broken = storageWith([ONE])
    broken.setHardState({ term: term(1), vote: ONE, commit: logIndex(9) })
    expect(() => new RawNode(configOf(broken))).toThrow('1 state.commit 9 is out of range [1, 1]')
  })

  test('a configuration that no changes can reach is a programmer error', () => {
    expect(() => new RawNode(configOf(storageWith([ONE], [ONE])))).toThrow(
      'unable to restore config',
    )
  })
})

describe('step', () => {
  const local: readonly MessageType[] = [
    'MsgHup',
    'MsgBeat',
    'MsgUnreachable',
    'MsgSnapStatus',
    'MsgCheckQuorum',
    'MsgStorageAppend',
    'MsgStorageAppendResp',
    'MsgStorageApply',
    'MsgStorageApplyResp',
  ]
  for (const type of local) {
    test(`refuses ${type} from the network`, () => {
      const core = new RawNode(configOf(storageWith([ONE, TWO])))
      const result = core.step(createMessage({ type, from: TWO, to: ONE, term: term(1) }))
      expect(result).toEqual({ kind: 'refused', reason: 'local-message' })
      if (result !== 'ok') {
        expect(outcomeText(result)).toBe('raft: cannot step raft local message')
      }
    })
  }

  test('refuses the answer of somebody unknown', () => {
    const core = new RawNode(configOf(storageWith([ONE, TWO])))
    const answer = createMessage({ type: 'MsgAppResp', from: THREE, to: ONE, term: term(1) })
    expect(core.step(answer)).toEqual({ kind: 'refused', reason: 'peer-not-found' })
  })

  test('ignores message types from the future, in every role', () => {
    const storage = storageWith([ONE, TWO])
    const core = new RawNode(configOf(storage))
    const unknown = createMessage({ type: 'UNKNOWN', from: TWO, to: ONE })
    expect(core.step(unknown)).toBe('ok')
    core.campaign()
    expect(core.step(unknown)).toBe('ok')
    run(core, storage)
    core.step(createMessage({ type: 'MsgVoteResp', from: TWO, to: ONE, term: term(1) }))
    expect(core.basicStatus().softState).toEqual({ lead: ONE, role: 'leader' })
    expect(core.step(unknown)).toBe('ok')
    core.forgetLeader()
    expect(core.basicStatus().softState.lead).toBe(ONE)
  })

  test('a read answer without exactly one entry is ignored', () => {
    const lines: string[] = []
    const ignore = (): void => undefined
    const logger = {
      debug: ignore,
      info: ignore,
      warning: ignore,
      error: (text: () => string): void => {
        lines.push(text())
      },
    }
    const core = new RawNode(configOf(storageWith([ONE, TWO]), { logger }))
    core.step(createMessage({ type: 'MsgReadIndexResp', from: TWO, to: ONE }))
    expect(lines).toEqual(['1 invalid format of MsgReadIndexResp from 2, entries count: 0'])
    expect(core.hasReady()).toBe(false)
  })

  test('a candidate that is told to campaign goes on as it is', () => {
    const core = new RawNode(configOf(storageWith([ONE, TWO])))
    core.campaign()
    core.step(createMessage({ type: 'MsgTimeoutNow', from: TWO, to: ONE, term: term(1) }))
    expect(core.basicStatus().hardState.term).toBe(1)
    expect(core.basicStatus().softState.role).toBe('candidate')
  })

  test('leader transfer without a leader goes nowhere; remote ones are passed on', () => {
    const core = new RawNode(configOf(storageWith([ONE, TWO, THREE])))
    core.transferLeader(ONE)
    expect(core.hasReady()).toBe(false)
    core.step(createMessage({ type: 'MsgHeartbeat', from: TWO, to: ONE, term: term(1) }))
    core.step(createMessage({ type: 'MsgTransferLeader', from: THREE, to: ONE, term: term(1) }))
    const passed = core.ready().messages.find(({ type }) => type === 'MsgTransferLeader')
    expect(passed).toMatchObject({ from: THREE, to: TWO, term: 1 })
  })
})

describe('proposals', () => {
  test('several entries are appended in order, with consecutive indexes', () => {
    const { core, storage } = leaderOfOne()
    expect(core.propose([bytes('a'), bytes('b')])).toBe('ok')
    const committed = run(core, storage)
    expect(committed.map(({ index }) => index)).toEqual([3, 4])
    expect(committed.map(({ data }) => data)).toEqual([bytes('a'), bytes('b')])
    expect(core.basicStatus().applied).toBe(4)
  })

  test('an acknowledgement of nothing, and a campaign of a leader, change nothing', () => {
    const { core } = leaderOfOne()
    const before = core.basicStatus()
    core.step(createMessage({ type: 'MsgStorageApplyResp', from: LOCAL_APPLY_THREAD, to: ONE }))
    core.campaign()
    expect(core.basicStatus()).toEqual(before)
    expect(core.hasReady()).toBe(false)
  })

  test('an empty proposal is a programmer error', () => {
    const { core } = leaderOfOne()
    expect(() => core.propose([])).toThrow('a proposal has at least one entry')
  })

  test('a refused change is applied as one of nobody', () => {
    const { core, storage } = leaderOfOne()
    const change = { id: 1n, type: 'ConfChangeAddNode', nodeId: TWO, context: bytes('') } as const
    expect(core.proposeConfChange(change)).toBe('ok')
    expect(run(core, storage)).toHaveLength(1)
    const state = core.applyConfChange({ ...change, nodeId: memberId(0n) })
    expect(state.voters).toEqual([ONE])
  })

  test('a committed change that cannot follow the configuration is a programmer error', () => {
    const { core } = leaderOfOne()
    const remove = { type: 'ConfChangeRemoveNode', nodeId: ONE } as const
    expect(() => core.applyConfChange({ id: 0n, context: bytes(''), ...remove })).toThrow(
      'removed all voters',
    )
    const transition = 'UNKNOWN'
    expect(() =>
      core.applyConfChange({ transition, changes: [remove], context: bytes('') }),
    ).toThrow('unknown conf change transition')
    const unknown = { type: 'UNKNOWN', nodeId: TWO } as const
    expect(() => core.applyConfChange({ id: 0n, context: bytes(''), ...unknown })).toThrow(
      'unexpected conf type',
    )
  })
})

describe('modes', () => {
  test('advance belongs to the plain mode', () => {
    const core = new RawNode(configOf(storageWith([ONE]), { asyncStorageWrites: true }))
    expect(() => core.advance()).toThrow('Advance must not be called when using AsyncStorageWrites')
  })

  test('plain mode: a second Ready without advance is a programmer error', () => {
    const core = new RawNode(configOf(storageWith([ONE])))
    core.campaign()
    core.ready()
    expect(() => core.ready()).toThrow('two accepted Ready structs without call to Advance')
  })

  test('asynchronous mode: several appends may be under way', () => {
    const storage = storageWith([ONE])
    const core = new RawNode(configOf(storage, { asyncStorageWrites: true }))
    core.campaign()
    const finish = (messages: ReturnType<RawNode['ready']>['messages']): void => {
      for (const message of messages) {
        if (message.to === LOCAL_APPEND_THREAD) storage.append(message.entries)
        for (const response of message.responses ?? []) core.step(response)
      }
    }
    finish(core.ready().messages)
    core.propose([bytes('a')])
    const first = core.ready().messages
    core.propose([bytes('b')])
    const second = core.ready().messages
    expect(core.hasReady()).toBe(false)
    finish(first)
    expect(core.basicStatus().hardState.commit).toBe(3)
    finish(second)
    expect(core.basicStatus().hardState.commit).toBe(4)
  })
})

describe('status', () => {
  test('a leader shows everybody, a follower nobody', () => {
    const storage = storageWith([ONE], [TWO])
    const core = new RawNode(configOf(storage))
    expect(core.status().progress.size).toBe(0)
    core.campaign()
    run(core, storage)
    const { config, progress, id, leadTransferee } = core.status()
    expect(config.learners).toEqual([TWO])
    expect([id, leadTransferee]).toEqual([ONE, 0n])
    expect(progress.get(TWO)).toMatchObject({ state: 'probe', isLearner: true, match: 0 })
    expect(progress.get(ONE)).toMatchObject({ state: 'replicate', match: 2, next: 3 })
  })
})

describe('a leader of three', () => {
  /** Leads nodes 2 and 3, who answer only what a test makes them answer. */
  function leaderOfThree(more: Partial<RaftConfig> = {}): {
    core: RawNode
    storage: MemoryStorage
  } {
    const storage = storageWith([ONE, TWO, THREE])
    const core = new RawNode(configOf(storage, more))
    core.campaign()
    run(core, storage)
    core.step(createMessage({ type: 'MsgVoteResp', from: TWO, to: ONE, term: term(1) }))
    run(core, storage)
    return { core, storage }
  }
  const answer = (core: RawNode, from: MemberId, index: number): void => {
    const fields = { from, to: ONE, term: term(1), index: logIndex(index) }
    expect(core.step(createMessage({ type: 'MsgAppResp', ...fields }))).toBe('ok')
  }
  const remove = (nodeId: MemberId) =>
    ({ id: 0n, type: 'ConfChangeRemoveNode', nodeId, context: bytes('') }) as const

  test('sends no snapshot to who was not heard from, nor one that is not there yet', () => {
    class SlowStorage extends MemoryStorage {
      override snapshot(): ReturnType<MemoryStorage['snapshot']> {
        return this.lastIndex() < 3 ? super.snapshot() : 'snapshot-temporarily-unavailable'
      }
    }
    const storage = new SlowStorage()
    const made = storageWith([ONE, TWO, THREE]).snapshot()
    if (typeof made === 'string') throw new Error(made)
    storage.applySnapshot(made)
    const core = new RawNode(configOf(storage))
    core.campaign()
    run(core, storage)
    core.step(createMessage({ type: 'MsgVoteResp', from: TWO, to: ONE, term: term(1) }))
    core.propose([bytes('a')])
    run(core, storage)
    answer(core, TWO, 3)
    run(core, storage)
    storage.compact(logIndex(3))
    const rejection = { from: THREE, to: ONE, term: term(1), index: logIndex(1), reject: true }
    core.step(createMessage({ type: 'MsgAppResp', ...rejection }))
    core.reportUnreachable(THREE)
    core.step(createMessage({ type: 'MsgHeartbeatResp', from: THREE, to: ONE, term: term(1) }))
    const sent = core.hasReady() ? core.ready().messages.map(({ type }) => type) : []
    expect(sent).not.toContain('MsgSnap')
    expect(core.status().progress.get(THREE)?.state).toBe('probe')
  })

  test('sends no snapshot to who went silent since the last quorum check', () => {
    const { core, storage } = leaderOfThree({ checkQuorum: true })
    answer(core, THREE, 2)
    core.propose([bytes('a'), bytes('b')])
    run(core, storage)
    answer(core, TWO, 4)
    run(core, storage)
    storage.compact(logIndex(4))
    for (let ticks = 0; ticks < 10; ticks++) core.tick()
    expect(core.status().progress.get(THREE)?.recentActive).toBe(false)
    core.reportUnreachable(THREE)
    core.propose([bytes('c')])
    const sent = core.ready().messages.filter(({ to }) => to === THREE)
    expect(sent.every(({ type }) => type === 'MsgHeartbeat')).toBe(true)
  })

  test('commits what fewer voters suffice for, as soon as it applies that', () => {
    const { core, storage } = leaderOfThree()
    answer(core, TWO, 2)
    run(core, storage)
    core.propose([bytes('a')])
    run(core, storage)
    expect(core.basicStatus().hardState.commit).toBe(2)
    core.applyConfChange(remove(THREE))
    core.applyConfChange(remove(TWO))
    expect(core.basicStatus().hardState.commit).toBe(3)
  })

  test('gives up handing over to somebody who is removed', () => {
    const { core, storage } = leaderOfThree()
    answer(core, TWO, 2)
    run(core, storage)
    core.transferLeader(THREE)
    expect(core.basicStatus().leadTransferee).toBe(THREE)
    core.applyConfChange(remove(THREE))
    expect(core.basicStatus().leadTransferee).toBe(0n)
  })

  test('a read that waits already is not taken twice, and stale confirmations do nothing', () => {
    const { core, storage } = leaderOfThree()
    answer(core, TWO, 2)
    run(core, storage)
    core.readIndex(bytes('x'))
    core.readIndex(bytes('x'))
    const confirmation = createMessage({
      type: 'MsgHeartbeatResp',
      from: TWO,
      to: ONE,
      term: term(1),
      context: bytes('x'),
    })
    core.step(confirmation)
    core.step(confirmation)
    expect(core.ready().readStates).toEqual([{ index: 2, context: bytes('x') }])
  })

  test('entries of an unknown type are appended as they are', () => {
    const { core, storage } = leaderOfThree()
    const data = bytes('?')
    const entries = [{ type: 'UNKNOWN', term: term(0), index: logIndex(0), data }] as const
    core.step(createMessage({ type: 'MsgProp', from: TWO, to: ONE, entries }))
    run(core, storage)
    expect(storage.term(logIndex(3))).toBe(1)
  })
})

test('a candidate that gets the snapshot of a leader of its term follows it', () => {
  const core = new RawNode(configOf(storageWith([ONE, TWO])))
  core.campaign()
  const metadata = {
    index: logIndex(9),
    term: term(1),
    confState: {
      voters: [ONE, TWO],
      learners: [],
      votersOutgoing: [],
      learnersNext: [],
      autoLeave: false,
    },
  }
  const snapshot = { data: bytes('state'), metadata }
  core.step(createMessage({ type: 'MsgSnap', from: TWO, to: ONE, term: term(1), snapshot }))
  expect(core.basicStatus().softState).toEqual({ lead: TWO, role: 'follower' })
  expect(core.ready().snapshot).toEqual(snapshot)
})

test('a snapshot for others is not installed', () => {
  const core = new RawNode(configOf(storageWith([ONE, TWO])))
  const taken = storageWith([TWO]).snapshot()
  if (typeof taken === 'string') throw new Error(taken)
  const snapshot = { ...taken, metadata: { ...taken.metadata, index: logIndex(9) } }
  core.step(createMessage({ type: 'MsgSnap', from: TWO, to: ONE, term: term(1), snapshot }))
  expect(core.ready().snapshot).toBeUndefined()
})
