import { clusterId, memberId, term } from '../../src/base/ids.js'
import { WatchHub, type WatchHubOptions } from '../../src/watch/watch-hub.js'
import type { Change } from './model-store.js'
import { ModelStore } from './model-store.js'

export interface Setup {
  readonly store: ModelStore
  readonly hub: WatchHub
  /** Commits a transaction and tells the hub. */
  readonly commit: (...changes: readonly Change[]) => number
  readonly put: (key: string, value: string) => number
  readonly del: (key: string) => number
  /** Runs passes and reads until nothing is left to do. */
  readonly settle: (nowMs?: number) => void
}

export function setUp(options: Partial<WatchHubOptions> = {}): Setup {
  const store = new ModelStore()
  const hub = new WatchHub({
    history: store,
    clusterId: clusterId(0xcafen),
    memberId: memberId(0xfeedn),
    term: () => term(3),
    entropy: { below: () => 0 },
    ...options,
  })
  const commit = (...changes: readonly Change[]): number => {
    const events = store.commit(changes)
    if (events.length > 0) hub.notify(store.currentRevision, events)
    return store.currentRevision
  }
  return {
    store,
    hub,
    commit,
    put: (key, value) => commit({ key, value }),
    del: (key) => commit({ key, value: undefined }),
    settle: (nowMs = 0) => {
      for (let passes = 0; passes < 10_000; passes++) {
        const hasMore = hub.syncSome(nowMs)
        if (store.isReading) store.completeReads()
        else if (!hasMore) return
      }
      throw new Error('the hub does not come to rest')
    },
  }
}
