// Goal: the log is cut only behind what the backend has on disk. Method: a keeper over fakes that complete when told.
import { describe, expect, test } from 'vitest'
import type { Backend } from '../../src/backend/backend.js'
import { type LogIndex, logIndex, term } from '../../src/base/ids.js'
import type { MemberSettings } from '../../src/member/member-settings.js'
import { SnapshotKeeper } from '../../src/member/snapshot-keeper.js'
import type { Log } from '../../src/ports/log.js'
import { MemoryStorage } from '../../src/raft/memory-storage.js'
import { ConfState, type Entry, type Snapshot } from '../../src/wire/raftpb.js'

const silent: Log = {
  isDebugEnabled: false,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

function setup(options: { snapshotCount: number; catchUpEntries: number }) {
  const storage = new MemoryStorage()
  const story: string[] = []
  const flushes: ((failure?: Error) => void)[] = []
  const saves: ((failure?: Error) => void)[] = []
  const keeper = new SnapshotKeeper({
    settings: options as MemberSettings,
    storage,
    backend: () =>
      ({
        flush: (sync: boolean, done: (failure?: Error) => void) => {
          story.push(sync ? 'flush and sync' : 'flush')
          flushes.push(done)
        },
      }) as unknown as Backend,
    wal: {
      save: () => undefined,
      saveSnapshot: ({ metadata }: Snapshot, done) => {
        story.push(`save ${metadata.index}`)
        saves.push(done as (failure?: Error) => void)
      },
      close: () => undefined,
    },
    log: silent,
    snapshotIndex: logIndex(0),
    confState: () => ConfState.create(),
    writeDeferred: () => story.push('write commit'),
    v2State: () => new TextEncoder().encode('{}'),
    onFatal: (message) => story.push(`fatal: ${message}`),
  })
  const grow = (to: number): LogIndex => {
    const entries: Entry[] = []
    for (let index = storage.lastIndex() + 1; index <= to; index++) {
      entries.push({
        type: 'EntryNormal',
        term: term(1),
        index: logIndex(index),
        data: new Uint8Array(0),
      })
    }
    storage.append(entries)
    return logIndex(to)
  }
  return { storage, story, flushes, saves, keeper, grow }
}

describe('SnapshotKeeper', () => {
  test('saves a snapshot once the backend is on disk, every so many entries', () => {
    const { keeper, story, flushes, saves, grow } = setup({ snapshotCount: 10, catchUpEntries: 5 })
    keeper.maybeSave(grow(10), false)
    expect(story).toEqual([])
    keeper.maybeSave(grow(11), false)
    expect(story).toEqual(['flush and sync'])
    keeper.maybeSave(grow(30), false)
    expect(story).toEqual(['flush and sync'])
    flushes[0]?.()
    expect(story).toEqual(['flush and sync', 'write commit', 'save 11'])
    saves[0]?.()
    keeper.maybeSave(grow(30), false)
    expect(story.slice(3)).toEqual(['flush and sync'])
  })

  test('saves one when it must, but not twice of the same state', () => {
    const { keeper, story, flushes, saves, grow } = setup({ snapshotCount: 10, catchUpEntries: 5 })
    keeper.maybeSave(grow(3), true)
    flushes[0]?.()
    saves[0]?.()
    keeper.maybeSave(logIndex(3), true)
    expect(story).toEqual(['flush and sync', 'write commit', 'save 3'])
    keeper.onInstalled(logIndex(100))
    keeper.maybeSave(logIndex(3), true)
    expect(story).toHaveLength(3)
  })

  test.each(['flush', 'save'] as const)('ends the process when it cannot %s', (what) => {
    const { keeper, story, flushes, saves, grow } = setup({ snapshotCount: 1, catchUpEntries: 5 })
    keeper.maybeSave(grow(3), false)
    flushes[0]?.(what === 'flush' ? new Error('EIO') : undefined)
    saves[0]?.(new Error('EIO'))
    expect(story.at(-1)).toBe('fatal: failed to save snapshot')
    expect(story.includes('save 3')).toBe(what === 'save')
  })

  test('cuts the log in memory, and keeps what a slow follower may need', () => {
    const { keeper, storage, grow } = setup({ snapshotCount: 1_000_000, catchUpEntries: 50 })
    keeper.maybeSave(grow(1050), false)
    expect(storage.firstIndex()).toBe(1)
    keeper.maybeSave(grow(1051), false)
    expect(storage.firstIndex()).toBe(1002)
    expect(storage.lastIndex()).toBe(1051)
  })
})
