// Goal: times as Go writes them. Method: the host's calendar as the twin.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatRfc3339Nano, parseRfc3339 } from '../../src/base/rfc3339.js'

const nanos = fc.bigInt({ min: -62_135_596_800_000_000_000n, max: 9_000_000_000_000_000_000n })

describe('times', () => {
  test('agree with the calendar of the host', () => {
    fc.assert(
      fc.property(nanos, (ns) => {
        const text = formatRfc3339Nano(ns)
        expect(parseRfc3339(text)).toBe(ns)
        const ms = ((ns % 1_000_000n) + 1_000_000n) % 1_000_000n
        const whole = new Date(Number((ns - ms) / 1_000_000n)).toISOString()
        expect(`${text.slice(0, 19)}`).toBe(whole.slice(0, 19))
      }),
    )
  })

  test('lose the zeros at the end of the fraction', () => {
    expect(formatRfc3339Nano(0n)).toBe('1970-01-01T00:00:00Z')
    expect(formatRfc3339Nano(1_500_000_000n)).toBe('1970-01-01T00:00:01.5Z')
    expect(formatRfc3339Nano(-62_135_596_800_000_000_000n)).toBe('0001-01-01T00:00:00Z')
  })

  test('are read with any offset', () => {
    expect(parseRfc3339('1970-01-01T01:00:00+01:00')).toBe(0n)
    expect(parseRfc3339('1969-12-31T23:30:00-00:30')).toBe(0n)
  })

  test.each([
    '',
    '1970-01-01',
    '1970-13-01T00:00:00Z',
    '1970-01-00T00:00:00Z',
    '1970-01-01T24:00:00Z',
  ])('refuse %j', (text) => {
    expect(parseRfc3339(text)).toBeUndefined()
  })
})
