import { describe, expect, test } from 'vitest'
import { parseArguments, USAGE, UsageError } from './arguments.js'

// Goal: whoever runs the simulator by hand is understood or told what is wrong. Method: command lines as they are typed.
describe('the command line', () => {
  test('says which runs are wanted', () => {
    const given = parseArguments([
      '--seed',
      '42',
      '--trace',
      '--without',
      'crash',
      '--without',
      'buggify',
    ])
    expect(given).toMatchObject({ seed: 42, isTraced: true, without: ['crash', 'buggify'] })
    expect(given).toMatchObject({ count: undefined, keepsGoing: false, bug: '', wantsHelp: false })
    expect(parseArguments(['-h']).wantsHelp).toBe(true)
  })

  test.each([
    [['--sed', '1'], "Unknown option '--sed'"],
    [['42'], "Unexpected argument '42'"],
    [['--seed'], "'--seed <value>' argument missing"],
    [['--seed', 'x'], '--seed needs a whole number from 0 on, got "x"'],
    [['--seed', '-1'], "'--seed' argument is ambiguous"],
    [['--count', '0'], '--count needs a whole number from 1 on, got "0"'],
    [['--minutes', '1.5'], '--minutes needs a whole number from 1 on, got "1.5"'],
    [['--bug', 'vote'], '--bug needs --known-bugs'],
    [['--nightly', '--seed', '1'], '--nightly has its own seeds'],
    [['--everything', '--options', 'x.json'], 'exclude each other'],
  ])('%j is refused in words', (given, message) => {
    expect(() => parseArguments(given)).toThrow(UsageError)
    expect(() => parseArguments(given)).toThrow(message)
  })

  test('has every option in its usage', () => {
    const known = Object.keys(parseArguments([])).length
    expect(USAGE.match(/^ {2}--/gm)).toHaveLength(known)
  })
})
