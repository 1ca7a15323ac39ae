import { describe, expect, test } from 'vitest'
import { isLinearizable, type RegisterOperation } from './search-check.js'

// Goal: the search tells histories that some order explains from those that none does. Method: the classic cases.
const op = (
  kind: RegisterOperation['kind'],
  value: string | undefined,
  calledUs: number,
  returnedUs: number,
): RegisterOperation => ({ kind, value, calledUs, returnedUs })
const NEVER = Number.POSITIVE_INFINITY

describe('the search for an order', () => {
  test('finds one for reads that overlap a write', () => {
    const history = [op('write', 'a', 0, 10), op('read', undefined, 1, 3), op('read', 'a', 4, 6)]
    expect(isLinearizable(history, undefined)).toBe(true)
  })

  test('finds none when a read goes back behind another', () => {
    const history = [op('write', 'a', 0, 10), op('read', 'a', 1, 3), op('read', undefined, 4, 6)]
    expect(isLinearizable(history, undefined)).toBe(false)
  })

  test('finds none when an answered write is not seen', () => {
    expect(isLinearizable([op('write', 'a', 0, 1), op('read', undefined, 2, 3)], undefined)).toBe(
      false,
    )
  })

  test('lets a write without answer happen, later or never', () => {
    const open = op('write', 'a', 0, NEVER)
    expect(isLinearizable([open, op('read', undefined, 2, 3)], undefined)).toBe(true)
    expect(isLinearizable([open, op('read', 'a', 5, 6)], undefined)).toBe(true)
    const twice = [open, op('read', 'a', 5, 6), op('read', undefined, 7, 8)]
    expect(isLinearizable(twice, undefined)).toBe(false)
  })

  test('lets one of two compare-and-sets win', () => {
    const cas = (succeeded: boolean, value: string): RegisterOperation => ({
      ...op('compare-and-set', value, 0, 10),
      needs: 'old',
      succeeded,
    })
    expect(isLinearizable([cas(true, 'x'), cas(false, 'y')], 'old')).toBe(true)
    expect(isLinearizable([cas(true, 'x'), cas(true, 'y')], 'old')).toBe(false)
  })
})
