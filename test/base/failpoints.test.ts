// Goal: failpoints are named and driven as etcd's are, and do nothing until they are enabled and armed. Method: the
// language term by term, then points with effects that are written down instead of carried out.
import { afterEach, describe, expect, test } from 'vitest'
import { durationMs, parseTerms, TERMS_CHARACTERS_MAX } from '../../src/base/failpoint-terms.js'
import {
  armFailpoint,
  disarmFailpoint,
  enableFailpoints,
  failpoint,
  failpointStatus,
} from '../../src/base/failpoints.js'

describe('the language of terms', () => {
  test.each([
    ['panic', { modifiers: [], action: 'panic', value: undefined }],
    ['panic("x")', { modifiers: [], action: 'panic', value: 'x' }],
    ['return()', { modifiers: [], action: 'return', value: undefined }],
    ['return(true)', { modifiers: [], action: 'return', value: true }],
    ['return(false)', { modifiers: [], action: 'return', value: false }],
    ['sleep(-3)', { modifiers: [], action: 'sleep', value: -3 }],
    [
      '50.0%sleep(10)',
      { modifiers: [{ kind: 'percent', percent: 50 }], action: 'sleep', value: 10 },
    ],
    ['3*off', { modifiers: [{ kind: 'count', left: 3 }], action: 'off', value: undefined }],
    [
      '2*25.5%print',
      {
        modifiers: [
          { kind: 'count', left: 2 },
          { kind: 'percent', percent: 25.5 },
        ],
        action: 'print',
        value: undefined,
      },
    ],
  ])('reads %s', (text, term) => {
    expect(parseTerms(text)).toEqual([term])
  })

  test('reads a chain', () => {
    expect(parseTerms('1*off->2*sleep(5)->panic')?.map(({ action }) => action)).toEqual([
      'off',
      'sleep',
      'panic',
    ])
    expect(parseTerms('off->')).toHaveLength(1)
  })

  test.each([
    '',
    'boom',
    '3panic',
    '50%panic',
    '3*',
    'panic(',
    'panic(x)',
    'panic->>off',
    '->off',
  ])('refuses %j', (text) => {
    expect(parseTerms(text)).toBeUndefined()
  })

  test('refuses a text without end', () => {
    expect(parseTerms('off->'.repeat(TERMS_CHARACTERS_MAX))).toBeUndefined()
  })

  test.each([
    ['1m30s', 90_000],
    ['1.5s', 1500],
    ['250ms', 250],
    ['2us', 0.002],
    ['0', 0],
    ['', undefined],
    ['5', undefined],
    ['5s!', undefined],
  ])('a duration %j is %s ms', (text, ms) => {
    expect(durationMs(text)).toBe(ms)
  })
})

describe('a failpoint', () => {
  const seen: string[] = []
  const arm = (terms: string): void => {
    expect(armFailpoint('walBeforeSync', terms)).toBeUndefined()
  }
  const enable = (random = 0): void =>
    enableFailpoints({
      random: () => random,
      sleep: (ms) => seen.push(`sleep ${ms}`),
      panic: (message) => seen.push(message),
      print: (line) => seen.push(line),
    })

  afterEach(() => {
    disarmFailpoint('walBeforeSync')
    seen.length = 0
  })

  test('does nothing while nobody enabled failpoints', () => {
    arm('panic')
    expect(failpoint('walBeforeSync')).toBe(false)
    expect(failpointStatus('walBeforeSync')).toEqual({ kind: 'armed', text: 'panic', count: 0 })
  })

  test('panics with its value', () => {
    enable()
    arm('panic("why")')
    failpoint('walBeforeSync')
    arm('panic')
    failpoint('walBeforeSync')
    expect(seen).toEqual(['failpoint panic: why', 'failpoint panic: {}'])
  })

  test('is one of many: another that is armed does not set it off', () => {
    enable()
    arm('return')
    expect(failpoint('walAfterSync')).toBe(false)
    expect(failpoint('walBeforeSync')).toBe(true)
  })

  test('carries out the first term that its modifiers allow', () => {
    enable()
    arm('1*sleep(7)->1*sleep("2s")->return')
    const returned = [1, 2, 3].map(() => failpoint('walBeforeSync'))
    expect(returned).toEqual([false, false, true])
    expect(seen).toEqual(['sleep 7', 'sleep 2000'])
    expect(failpointStatus('walBeforeSync')).toMatchObject({ count: 3 })
  })

  test('with a percentage follows the dice', () => {
    enable(0.49)
    arm('50.0%print')
    failpoint('walBeforeSync')
    enable(0.5)
    failpoint('walBeforeSync')
    expect(seen).toEqual(['failpoint print: walBeforeSync'])
  })

  test('says what it cannot do, and goes on', () => {
    enable()
    const wrong = ['sleep("x")', 'sleep', 'sleep(true)', 'return(5)', 'break', 'off']
    for (const terms of wrong) {
      arm(terms)
      expect(failpoint('walBeforeSync')).toBe(false)
    }
    expect(seen).toEqual([
      'failpoint: could not parse sleep(x) on walBeforeSync',
      'failpoint: ignoring sleep({}) on walBeforeSync',
      'failpoint: ignoring sleep(true) on walBeforeSync',
      'failpoint: "walBeforeSync" got value 5 but takes none',
      'failpoint: ignoring break on walBeforeSync',
    ])
  })

  test('answers for what is not there', () => {
    expect(armFailpoint('nowhere', 'off')).toBe('NO_EXIST')
    expect(armFailpoint('walBeforeSync', 'boom')).toBe('BAD_PARSE')
    expect(disarmFailpoint('nowhere')).toBe('NO_EXIST')
    expect(disarmFailpoint('walBeforeSync')).toBe('DISABLED')
    expect(failpointStatus('nowhere')).toEqual({ kind: 'none', problem: 'NO_EXIST' })
    expect(failpointStatus('walBeforeSync')).toEqual({ kind: 'none', problem: 'DISABLED' })
  })
})
