// Goal: a broken assumption ends in one kind of error with a text that helps. Method: both outcomes of each.
import { describe, expect, test } from 'vitest'
import { exhaustive, InvariantViolation, invariant, possibly } from '../../src/base/invariant.js'

describe('invariant', () => {
  test('is silent and makes no text while it holds', () => {
    expect(() =>
      invariant(true, 'unused', () => {
        throw new Error('the detail was made')
      }),
    ).not.toThrow()
  })

  test('throws its message, with the detail when there is one', () => {
    expect(() => invariant(false, 'it must hold')).toThrow(new InvariantViolation('it must hold'))
    expect(() => invariant(false, 'it must hold', () => '1 > 2')).toThrow('it must hold: 1 > 2')
  })
})

test('possibly accepts both', () => {
  expect(possibly(true)).toBeUndefined()
  expect(possibly(false)).toBeUndefined()
})

describe('exhaustive', () => {
  test('names the variant that nobody handled', () => {
    expect(() => exhaustive('left' as never)).toThrow('unreachable variant: left')
    expect(() => exhaustive({ kind: 'odd' } as never)).toThrow('unreachable variant: odd')
    expect(() => exhaustive(null as never)).toThrow('unreachable variant: null')
  })
})
