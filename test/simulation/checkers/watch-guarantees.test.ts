import { describe, expect, test } from 'vitest'
import { logIndex, requestId, revision, term } from '../../../src/base/ids.js'
import { bytesFromLatin1 } from '../../../src/base/latin1.js'
import { sealEncoded } from '../../../src/wire/raft-envelope.js'
import * as rpc from '../../../src/wire/rpc.js'
import { Model } from '../linearizability/model.js'
import type { WatchedEvent, WatchNews, WatchRecord } from '../workload/watch-client.js'
import { checkWatch } from './watch-guarantees.js'

// Goal: each of the nine promises of watches is seen to be broken, by its name. Method: a model of four revisions (two
// keys put, one put again, one transaction of both), and what a watch was told of them, wrong in one way each.
const key = bytesFromLatin1('k00')
const put = (name: string, value: string) =>
  rpc.PutRequest.create({ key: bytesFromLatin1(name), value: bytesFromLatin1(value) })
const both = rpc.TxnRequest.encode({
  success: [
    rpc.RequestOp.create({ requestPut: put('k00', 'd') }),
    rpc.RequestOp.create({ requestPut: put('k01', 'e') }),
  ],
})
const WRITES = [
  ['put', rpc.PutRequest.encode(put('k00', 'a'))],
  ['put', rpc.PutRequest.encode(put('k01', 'b'))],
  ['put', rpc.PutRequest.encode(put('k00', 'c'))],
  ['txn', both],
  ['deleteRange', rpc.DeleteRangeRequest.encode({ key })],
] as const

function model(compacted?: number): Model {
  const made = new Model()
  const writes = [...WRITES, ...(compacted === undefined ? [] : [compaction(compacted)])]
  writes.forEach(([operation, encoded], at) => {
    made.apply({
      type: 'EntryNormal',
      term: term(1),
      index: logIndex(at + 1),
      data: sealEncoded(operation, encoded, {
        ID: requestId(BigInt(at + 1)),
        username: '',
        authRevision: 0,
      } as Parameters<typeof sealEncoded>[2]),
    })
  })
  return made
}

function compaction(at: number) {
  return ['compaction', rpc.CompactionRequest.encode({ revision: revision(at) })] as const
}

const event = (mod: number, name: string, kv: string, previous?: string): WatchedEvent => ({
  type: kv === '' ? 'DELETE' : 'PUT',
  key: name,
  mod,
  kv: kv === '' ? '' : `${name}=${kv}`,
  isCreate: kv.includes(`@${mod}/`),
  previous: previous === undefined ? undefined : `${name}=${previous}`,
})
const [FIRST, SECOND, THIRD] = [
  event(2, 'k00', 'a@2/2/1/0'),
  event(3, 'k01', 'b@3/3/1/0'),
  event(4, 'k00', 'c@2/4/2/0', 'a@2/2/1/0'),
]
const FOURTH = [
  event(5, 'k00', 'd@2/5/3/0', 'c@2/4/2/0'),
  event(5, 'k01', 'e@3/5/2/0', 'b@3/3/1/0'),
]
const LAST = event(6, 'k00', '', 'd@2/5/3/0')

const news = (...events: WatchedEvent[]): WatchNews => ({
  atUs: 0,
  revision: events.at(-1)?.mod ?? 0,
  kind: 'events',
  compactRevision: 0,
  events,
})
const progress = (at: number): WatchNews => ({ ...news(), revision: at, kind: 'progress' })
const cancelled = (at: number): WatchNews => ({ ...news(), kind: 'compacted', compactRevision: at })
const record = (...all: WatchNews[]): WatchRecord => ({
  watcher: 1,
  place: 0,
  startRevision: 1,
  key: 'k',
  end: 'l',
  wantsPrevious: true,
  noDelete: false,
  noPut: false,
  news: all,
})
const WHOLE = [news(FIRST, SECOND), progress(3), news(THIRD), news(...FOURTH), news(LAST)]

describe('what a watch was told', () => {
  test('is sound when it is all, in any portions of whole revisions', () => {
    expect(checkWatch(record(...WHOLE), model())).toBeUndefined()
    const all = news(FIRST, SECOND, THIRD, ...FOURTH, LAST)
    expect(checkWatch(record(all, progress(6)), model())).toBeUndefined()
  })

  test.each<readonly [string, WatchRecord]>([
    ['Filter', { ...record(news(FIRST)), noPut: true }],
    ['Filter', { ...record(news(FIRST, SECOND)), key: 'k00', end: '' }],
    ['Ordered', record(news(SECOND, FIRST))],
    ['Unique', record(news(FIRST), news(FIRST))],
    ['Unique', { ...record(news(FIRST)), startRevision: 3 }],
    ['Atomic', record(news(FIRST, SECOND, THIRD, ...FOURTH.slice(0, 1)))],
    ['Bookmarkable', record(news(FIRST), progress(3))],
    ['Bookmarkable', record(progress(9))],
    ['Resumable', record(news(SECOND))],
    ['Reliable', record(news(FIRST), news(THIRD))],
    ['Reliable', record(news(FIRST, event(3, 'k01', 'x@3/3/1/0')))],
    ['IsCreate', record(news(FIRST, SECOND, event(4, 'k00', 'c@4/4/1/0', 'a@2/2/1/0')))],
    ['PrevKV', record(news(FIRST, SECOND, event(4, 'k00', 'c@2/4/2/0', 'b@3/3/1/0')))],
    ['PrevKV', record(news(FIRST, SECOND, event(4, 'k00', 'c@2/4/2/0')))],
    ['PrevKV', { ...record(news(FIRST, SECOND, THIRD)), wantsPrevious: false }],
  ])('breaks %s', (guarantee, broken) => {
    expect(checkWatch(broken, model())).toMatch(new RegExp(`^${guarantee}: `))
  })

  test('may end at a compaction of what it had not seen, and at no other', () => {
    expect(checkWatch(record(cancelled(4)), model(4))).toBeUndefined()
    expect(checkWatch(record(cancelled(3)), model(4))).toMatch(/^Resumable: .*never compacted/)
    const seen = record(news(FIRST, SECOND), cancelled(4))
    expect(checkWatch(seen, model(4))).toMatch(/^Resumable: .*had seen 3/)
  })
})
