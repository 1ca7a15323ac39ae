import type { MvccStore } from '../mvcc/mvcc-store.js'
import type { RangeOutcome, RangeQuery } from '../mvcc/range-query.js'

/** Key-values read before others have their turn. */
const KVS_PER_SLICE = 1000

/** Reads a range slice by slice as of one revision; `done` gets the whole of it. */
export function readInSlices(
  store: MvccStore,
  query: RangeQuery,
  caller: {
    readonly isCancelled: () => boolean
    readonly done: (outcome: RangeOutcome) => void
  },
): void {
  const cursor = store.openRange(query)
  if ('kind' in cursor) {
    caller.done(cursor)
    return
  }
  const kvs: Uint8Array[] = []
  const next = (): void => {
    cursor.next(KVS_PER_SLICE, (slice) => {
      if (caller.isCancelled()) {
        cursor.close()
        return
      }
      for (const kv of slice.kvs) kvs.push(kv)
      if (!slice.isEnd) {
        next()
        return
      }
      cursor.close()
      caller.done({ kind: 'range', kvs, count: cursor.count, revision: cursor.revision })
    })
  }
  next()
}
