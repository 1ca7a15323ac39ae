// Goal: etcd's database file is read as bbolt reads it, and a damaged one is refused. Method: files that are built page by
// page; a real one of Debian's etcd is read in test/interop/disaster-recovery.test.ts.
import { expect, test } from 'vitest'
import { BoltFile } from '../../src/backend/bolt-file.js'
import { boltImage } from './bolt-image.js'

const content = {
  small: [
    'meta',
    [
      ['consistent_index', '12345678'],
      ['term', 'x'],
    ],
  ],
  large: [
    'key',
    [
      [
        ['a', 'one'],
        ['b', 'v'.repeat(9000)],
      ],
      [
        ['c', ''],
        ['d', 'four'],
      ],
    ],
  ],
} as const

function open(image: Uint8Array): BoltFile {
  const readAt = (offset: number, bytes: number): Uint8Array => {
    if (offset + bytes > image.length) throw new Error('cut off')
    return image.slice(offset, offset + bytes)
  }
  return new BoltFile(readAt, image.length)
}

function textsOf(file: BoltFile, bucket: string): (readonly [string, string])[] {
  const decoder = new TextDecoder()
  return [...file.entries(bucket)].map(
    ({ key, value }) => [decoder.decode(key), decoder.decode(value)] as const,
  )
}

const PAGE_BYTES = 4096

/** A copy with one byte changed. */
function damaged(image: Uint8Array, offset: number, byte: number): Uint8Array {
  const copy = image.slice()
  copy[offset] = byte
  return copy
}

test('buckets inside the root and below branches, values longer than a page', () => {
  const file = open(boltImage(content))
  expect(file.buckets()).toEqual(['key', 'meta'])
  expect(textsOf(file, 'meta')).toEqual(content.small[1])
  expect(textsOf(file, 'key')).toEqual(content.large[1].flat())
  expect(textsOf(file, 'none')).toEqual([])
})

test('the meta page of the later transaction counts, unless it is torn', () => {
  const later = boltImage({ ...content, transactions: [7, 8] })
  expect(open(later).buckets()).toEqual([])
  const torn = damaged(later, PAGE_BYTES + 16 + 20, 0xff)
  expect(open(torn).buckets()).toEqual(['key', 'meta'])
})

test('a torn first meta page is made up for by the second, whatever the page size', () => {
  const image = boltImage({ ...content, transactions: [7, 8] })
  expect(open(damaged(image, 16, 0)).buckets()).toEqual([])
})

test('what is no database is refused', () => {
  expect(() => open(new Uint8Array(0))).toThrow('invalid database')
  expect(() => open(new Uint8Array(100_000))).toThrow('invalid database')
  const image = boltImage(content)
  const both = damaged(damaged(image, 16 + 56, 0), PAGE_BYTES + 16 + 56, 0)
  expect(() => open(both)).toThrow('invalid database')
})

test('damaged pages are refused, none is taken for another', () => {
  const image = boltImage(content)
  const read = (broken: Uint8Array): unknown => textsOf(open(broken), 'key')
  const leaf = 4 * PAGE_BYTES
  expect(() => read(damaged(image, leaf, 9))).toThrow('another page is in its place')
  expect(() => read(damaged(image, leaf + 8, 0x10))).toThrow('invalid page type 16')
  expect(() => read(damaged(image, leaf + 11, 0xff))).toThrow('more elements')
  expect(() => read(damaged(image, leaf + 14, 0xff))).toThrow('out of bounds')
  expect(() => read(damaged(image, leaf + 16 + 14, 0xff))).toThrow('out of its page')
  expect(() => read(image.slice(0, image.length - PAGE_BYTES))).toThrow('out of bounds')
})

test('a branch that leads back to itself ends', () => {
  const image = boltImage(content)
  const branch = image.length - PAGE_BYTES
  const toItself = damaged(image, branch + 16 + 8, branch / PAGE_BYTES)
  expect(() => textsOf(open(toItself), 'key')).toThrow('tree too deep')
})
