// Goal: a v2 tree becomes the keys that it should. Method: trees as the v2 API tells them, and the keys, times and
// transactions that are made of them.
import { expect, test } from 'vitest'
import {
  BATCH_BYTES_MAX,
  BATCH_CHANGES_MAX,
  batchesOf,
  type Change,
  changesTowards,
} from '../../src/migrate/batches.js'
import { flattenTree, type Item } from '../../src/migrate/v2-tree.js'

const AT = 1_000_000

const tree = {
  dir: true,
  nodes: [
    { key: '/plain', value: 'é', modifiedIndex: 3 },
    { key: '/brief', value: 'x', ttl: 9, modifiedIndex: 4 },
    { key: '/empty', dir: true, modifiedIndex: 5 },
    {
      key: '/session',
      dir: true,
      ttl: 20,
      modifiedIndex: 12,
      nodes: [
        { key: '/session/a', value: '', modifiedIndex: 6 },
        { key: '/session/b', value: 'b', ttl: 5, modifiedIndex: 15 },
        {
          key: '/session/in',
          dir: true,
          modifiedIndex: 8,
          nodes: [{ key: '/session/in/c', value: 'c', ttl: 90, modifiedIndex: 9 }],
        },
      ],
    },
  ],
} as const

test('files become keys; a directory lends them its time to live and its refreshes', () => {
  const { items, emptyDirectories } = flattenTree(tree, { readAtMs: AT, cut: '' })
  expect([...items.values()]).toEqual([
    { key: '/plain', value: 'é', index: 3, deadlineMs: undefined },
    { key: '/brief', value: 'x', index: 4, deadlineMs: AT + 9000 },
    { key: '/session/a', value: '', index: 12, deadlineMs: AT + 20_000 },
    { key: '/session/b', value: 'b', index: 15, deadlineMs: AT + 5000 },
    { key: '/session/in/c', value: 'c', index: 12, deadlineMs: AT + 20_000 },
  ])
  expect(emptyDirectories).toEqual(['/empty'])
})

test('a prefix is cut off the keys', () => {
  const [, , , session] = tree.nodes
  const { items } = flattenTree(session, { readAtMs: AT, cut: '/session' })
  expect([...items.keys()]).toEqual(['/a', '/b', '/in/c'])
})

test('directories that nest without end are refused', () => {
  let node: object = { key: '/x', value: '' }
  for (let depth = 0; depth < 2100; depth += 1) node = { key: '/d', dir: true, nodes: [node] }
  expect(() => flattenTree(node, { readAtMs: AT, cut: '' })).toThrow('nest deeper')
})

const item = (key: string, index: number, value = ''): Item => ({
  ...{ key, value, index, deadlineMs: undefined },
})
const itemsOf = (...list: Item[]): Map<string, Item> => new Map(list.map((one) => [one.key, one]))

test('only what differs is changed, and what is in doubt is written again', () => {
  const copied = new Map([
    ['same', { index: 1, revision: 10 }],
    ['newer', { index: 1, revision: 10 }],
    ['doubtful', { index: 1, revision: undefined }],
    ['gone', { index: 1, revision: 11 }],
    ['goneAndDoubtful', { index: 1, revision: undefined }],
  ])
  const wanted = itemsOf(item('same', 1), item('newer', 2), item('doubtful', 1), item('new', 5))
  expect(changesTowards(wanted, copied)).toEqual([
    { kind: 'delete', key: 'gone', revision: 11 },
    { kind: 'delete', key: 'goneAndDoubtful', revision: undefined },
    { kind: 'put', item: item('newer', 2) },
    { kind: 'put', item: item('doubtful', 1) },
    { kind: 'put', item: item('new', 5) },
  ])
})

test('transactions are bounded by operations and by bytes; a large value goes alone', () => {
  const put = (key: string, bytes: number): Change => ({
    kind: 'put',
    item: item(key, 1, 'v'.repeat(bytes)),
  })
  const many = Array.from({ length: 2 * BATCH_CHANGES_MAX + 1 }, (_, at) => put(`k${at}`, 1))
  expect([...batchesOf(many)].map(({ length }) => length)).toEqual([
    BATCH_CHANGES_MAX,
    BATCH_CHANGES_MAX,
    1,
  ])
  const large = [put('a', 10), put('b', BATCH_BYTES_MAX + 5), put('c', BATCH_BYTES_MAX - 1)]
  expect([...batchesOf(large)].map(({ length }) => length)).toEqual([1, 1, 1])
  expect([...batchesOf([])]).toEqual([])
})
