import { expect, test } from 'vitest'
import { logIndex, memberId, term } from '../../src/base/ids.js'
import { type DurableWrite, RaftLoop } from '../../src/member/raft-loop.js'
import { MemoryStorage } from '../../src/raft/memory-storage.js'
import { createMessage, LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD } from '../../src/raft/message.js'
import type { RaftMessage, RawNode } from '../../src/raft/raw-node.js'
import { Entry, Snapshot } from '../../src/wire/raftpb.js'

// Goal: while a snapshot is installed, what the core wants meanwhile keeps its order. Method: the loop over a core that
// says what the test says, and a host that completes an installation when told.
const SELF = memberId(1n)
const entryAt = (index: number): Entry => Entry.create({ index: logIndex(index), term: term(1) })
const append = (indexes: readonly number[], snapshot?: Snapshot): RaftMessage =>
  createMessage({
    type: 'MsgStorageAppend',
    to: LOCAL_APPEND_THREAD,
    entries: indexes.map(entryAt),
    ...(snapshot === undefined ? {} : { snapshot }),
  })
const snapshotAt = (index: number): Snapshot =>
  Snapshot.create({
    metadata: {
      index: logIndex(index),
      term: term(1),
      confState: {
        voters: [SELF],
        learners: [],
        votersOutgoing: [],
        learnersNext: [],
        autoLeave: false,
      },
    },
  })

function setup() {
  const storage = new MemoryStorage()
  const readies: RaftMessage[][] = []
  const done: string[] = []
  const installs: (() => void)[] = []
  const host = {
    now: 0,
    onApply: (_index: number): void => undefined,
  }
  const node = {
    hasReady: () => readies.length > 0,
    ready: () => ({ softState: undefined, messages: readies.shift() ?? [], readStates: [] }),
    step: () => undefined,
  } as unknown as RawNode
  const loop = new RaftLoop({
    node,
    storage,
    self: SELF,
    applied: logIndex(0),
    scheduler: { soon: () => undefined, later: () => () => undefined },
    host: {
      submit: () => undefined,
      flush: () => undefined,
      write: ({ entries }: DurableWrite, isWritten) => {
        done.push(`write ${entries.map(({ index }) => index)}`)
        isWritten()
      },
      installSnapshot: (snapshot, _write, isInstalled) => {
        done.push(`install ${snapshot.metadata.index}`)
        installs.push(isInstalled)
      },
      send: () => undefined,
      sendSnapshot: () => undefined,
      apply: ({ index }) => {
        done.push(`apply ${index}`)
        host.onApply(index)
      },
      onApplied: () => undefined,
      onRead: () => undefined,
      onSoftState: () => undefined,
      nowMs: () => host.now,
    },
  })
  return { loop, readies, done, installs, host }
}

test('writes that waited for a snapshot come before those that come up when it is installed', () => {
  const { loop, readies, done, installs } = setup()
  readies.push([append([], snapshotAt(10))], [append([11])], [append([12])])
  loop.run()
  readies.push([append([13])])
  installs.shift()?.()
  expect(done).toEqual(['install 10', 'write 11', 'write 12', 'write 13'])
})

test('a newer snapshot waits for the one that is being installed', () => {
  const { loop, readies, done, installs } = setup()
  readies.push([append([], snapshotAt(10))], [append([], snapshotAt(20))], [append([21])])
  loop.run()
  expect(done).toEqual(['install 10'])
  installs.shift()?.()
  expect(done).toEqual(['install 10', 'install 20'])
  installs.shift()?.()
  expect(done).toEqual(['install 10', 'install 20', 'write 21'])
})

test('what was left to apply when a snapshot came is part of it', () => {
  const { loop, readies, done, installs, host } = setup()
  const entries = Array.from({ length: 100 }, (_, at) => entryAt(at + 1))
  host.onApply = () => {
    host.now++
  }
  readies.push([createMessage({ type: 'MsgStorageApply', to: LOCAL_APPLY_THREAD, entries })])
  loop.run()
  const applied = done.length
  expect(applied).toBeLessThan(100)
  readies.push([append([], snapshotAt(200))])
  loop.run()
  installs.shift()?.()
  expect(done.length).toBe(applied + 1)
  expect(loop.appliedIndex).toBe(200)
})
