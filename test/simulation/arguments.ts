import { parseArgs } from 'node:util'

export const USAGE = `usage: npm run sim -- [options]

Runs a simulated cluster under faults and judges what its clients saw. Everything follows from the seed.
Ends with 1 when a run failed, or when --nightly leaves something unreached; with 2 when it is called wrongly.

  --seed N            the first seed (default: one drawn from the time)
  --count K           run K seeds, one after the other; the last line sums them up
  --minutes M         run further seeds for M minutes
  --keep-going        go on after a seed that failed
  --nightly           the seeds in which everything has to happen; each is run with all faults on in its own way
  --everything        the same options for other seeds
  --options FILE      the options of the run as JSON, instead of those drawn from the seed
  --seconds S         let faults happen for S virtual seconds, whatever the seed says
  --without NAME      leave out a fault, a kind of work, a site or a part of the world; may be given again
  --show-options      print the options of each run
  --trace             print every event
  --shrink            look for the smallest run in which the same check fails
  --history FILE      write what clients did, for npm run checker
  --ledger FILE       append the sum of many runs to a file
  --known-bugs        look for the first seed that shows each known bug, of 500
  --bug TEXT          only the known bugs with TEXT in their names
  --help              this text
`

/** A command line that makes no sense; the message says what is wrong with it. */
export class UsageError extends Error {}

/** What the command line asks for. */
export interface Arguments {
  readonly seed: number | undefined
  readonly count: number | undefined
  readonly minutes: number | undefined
  readonly seconds: number | undefined
  readonly options: string | undefined
  readonly history: string | undefined
  readonly ledger: string | undefined
  readonly bug: string
  readonly without: readonly string[]
  readonly isTraced: boolean
  readonly keepsGoing: boolean
  readonly shrinks: boolean
  readonly showsOptions: boolean
  readonly isNightly: boolean
  readonly isEverything: boolean
  readonly seeksKnownBugs: boolean
  readonly wantsHelp: boolean
}

const TEXT = { type: 'string' } as const
const SWITCH = { type: 'boolean', default: false } as const

/** Throws a `UsageError` for what is not understood. */
export function parseArguments(given: readonly string[]): Arguments {
  const values = parsed(given)
  const isMany = values.count !== undefined || values.minutes !== undefined
  if (values.nightly && (isMany || values.seed !== undefined))
    throw new UsageError(
      '--nightly has its own seeds: neither --seed, --count nor --minutes fit it',
    )
  if (values.options !== undefined && (values.everything || values.nightly))
    throw new UsageError('--options and --everything or --nightly exclude each other')
  if (values.bug !== undefined && !values['known-bugs'])
    throw new UsageError('--bug needs --known-bugs')
  return {
    seed: wholeNumber('--seed', values.seed, 0),
    count: wholeNumber('--count', values.count, 1),
    minutes: wholeNumber('--minutes', values.minutes, 1),
    seconds: wholeNumber('--seconds', values.seconds, 1),
    options: values.options,
    history: values.history,
    ledger: values.ledger,
    bug: values.bug ?? '',
    without: values.without,
    isTraced: values.trace,
    keepsGoing: values['keep-going'],
    shrinks: values.shrink,
    showsOptions: values['show-options'],
    isNightly: values.nightly,
    isEverything: values.everything,
    seeksKnownBugs: values['known-bugs'],
    wantsHelp: values.help,
  }
}

function parsed(given: readonly string[]) {
  try {
    const { values } = parseArgs({
      args: [...given],
      options: {
        seed: TEXT,
        count: TEXT,
        minutes: TEXT,
        seconds: TEXT,
        options: TEXT,
        history: TEXT,
        ledger: TEXT,
        bug: TEXT,
        without: { type: 'string', multiple: true, default: [] },
        trace: SWITCH,
        'keep-going': SWITCH,
        shrink: SWITCH,
        'show-options': SWITCH,
        nightly: SWITCH,
        everything: SWITCH,
        'known-bugs': SWITCH,
        help: { ...SWITCH, short: 'h' },
      },
    })
    return values
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

function wholeNumber(name: string, text: string | undefined, least: number): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value
  throw new UsageError(`${name} needs a whole number from ${least} on, got "${text}"`)
}
