// Goal: values read and print as in Go. Method: tables from Go's documentation, and a round trip.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  formatDurationMs,
  goQuote,
  INT64,
  parseDurationMs,
  parseInteger,
  parseUint32,
} from '../../src/config/go-value.js'

test.each([
  ['0', 0],
  ['1h1m1.5s', 3_661_500],
  ['-1.5h', -5_400_000],
  ['+5ms', 5],
  ['.5s', 500],
  ['1.s', 1000],
  ['1us', 0.001],
  ['1\u00b5s', 0.001],
  ['250ns', 0.00025],
])('duration %s', (text, durationMs) => {
  expect(parseDurationMs(text)).toEqual({ kind: 'value', value: durationMs })
})

test.each([
  ['', 'time: invalid duration ""'],
  ['-', 'time: invalid duration "-"'],
  ['.s', 'time: invalid duration ".s"'],
  ['x', 'time: invalid duration "x"'],
  ['5', 'time: missing unit in duration "5"'],
  ['5x', 'time: unknown unit "x" in duration "5x"'],
  ['1h-1m', 'time: unknown unit "h-" in duration "1h-1m"'],
  ['99999999999h', 'time: invalid duration "99999999999h"'],
])('no duration: %j', (text, reason) => {
  expect(parseDurationMs(text)).toEqual({ kind: 'refused', reason })
})

test.each([
  [0, '0s'],
  [0.00025, '250ns'],
  [1.5, '1.5ms'],
  [90_000, '1m30s'],
  [7_200_000, '2h0m0s'],
  [-1000, '-1s'],
])('%d ms print as %s', (durationMs, text) => {
  expect(formatDurationMs(durationMs)).toBe(text)
})

test('what is printed reads back', () => {
  fc.assert(
    fc.property(fc.integer({ min: -1e9, max: 1e9 }), (durationMs) => {
      const read = parseDurationMs(formatDurationMs(durationMs))
      expect(read).toEqual({ kind: 'value', value: durationMs === 0 ? 0 : durationMs })
    }),
  )
})

test('integers of any safe size read back in base 10 and 16', () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), (integer) => {
      const hex = `${integer < 0 ? '-' : ''}0x${Math.abs(integer).toString(16)}`
      for (const text of [String(integer), hex]) {
        const read = parseInteger(text, INT64)
        expect(read.kind === 'value' && read.value === integer).toBe(true)
      }
    }),
  )
  expect(parseUint32('08').kind).toBe('refused')
})

test('quotes escape as %q does', () => {
  expect(goQuote('a"b\\c\n\u0001\u00e9')).toBe('"a\\"b\\\\c\\n\\x01\u00e9"')
})
