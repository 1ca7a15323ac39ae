// Goal: the text forms are etcd's where the transcripts do not show them. Method: by example.
import { expect, test } from 'vitest'
import { logIndex, memberId, term } from '../../src/base/ids.js'
import { describeEntry, describeMessage } from '../../src/raft/describe.js'
import { varintSize } from '../../src/raft/entry-size.js'
import { createMessage } from '../../src/raft/message.js'
import { ReadOnlyQueue } from '../../src/raft/read-only.js'
import { Inflights } from '../../src/raft/tracker/inflights.js'
import { Progress } from '../../src/raft/tracker/progress.js'

test('payload bytes that are not printable are escaped', () => {
  const data = Uint8Array.of(0x61, 0x0a, 0x22, 0x5c, 0x00, 0xff)
  const entry = { type: 'EntryNormal', term: term(2), index: logIndex(3), data } as const
  expect(describeEntry(entry)).toBe('2/3 EntryNormal "a\\n\\"\\\\\\x00\\xff"')
})

test('nobody is called None, members by hexadecimal number', () => {
  const message = createMessage({ type: 'MsgHup', to: memberId(0xabcn) })
  expect(describeMessage(message)).toBe('None->abc MsgHup Term:0 Log:0/0')
})

test('varints have the size that protobuf gives them', () => {
  const sizes = [0, 2 ** 7, 2 ** 14, 2 ** 21, 2 ** 28, 2 ** 35, 2 ** 42, 2 ** 49].map(varintSize)
  expect(sizes).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
  expect(varintSize(Number.MAX_SAFE_INTEGER)).toBe(8)
})

test('nothing is sent to a member that waits for a snapshot', () => {
  const inflights = new Inflights({ countMax: 1, bytesMax: 1 })
  const next = logIndex(1)
  const progress = new Progress({ id: memberId(1n), next, isLearner: false, inflights })
  progress.becomeSnapshot(logIndex(5))
  expect(progress.isPaused()).toBe(true)
  expect(() => progress.onEntriesSent({ count: 1, bytes: 1 })).toThrow('StateSnapshot')
})

test('a read that nobody waits for is not answered', () => {
  expect(new ReadOnlyQueue().takeUpTo(Uint8Array.of(1))).toEqual([])
})
