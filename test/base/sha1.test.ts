// Goal: our SHA-1 is SHA-1. Method: the host's as the twin, over all lengths around the block border.
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { sha1, sha1Id } from '../../src/base/sha1.js'

const theirs = (input: Uint8Array) => new Uint8Array(createHash('sha1').update(input).digest())

test('digests agree with those of the host for every length up to three blocks', () => {
  for (let length = 0; length <= 192; length++) {
    const input = new Uint8Array(length).fill(length)
    expect(sha1(input)).toEqual(theirs(input))
  }
})

test('digests agree for any bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), (input) => {
      expect(sha1(input)).toEqual(theirs(input))
    }),
  )
})

test('an id is the first 8 bytes, most significant first', () => {
  expect(sha1Id(new TextEncoder().encode('abc'))).toBe(0xa9993e364706816an)
})
