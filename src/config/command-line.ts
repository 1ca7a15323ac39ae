import { findFlag, type NamedFlag } from './flag-table.js'
import { goQuote } from './go-value.js'
import type { Settings } from './settings.js'

/** What the command line asks for. */
export type CommandLine =
  | Readonly<{ kind: 'parsed'; words: readonly string[] }>
  | Readonly<{ kind: 'help' }>
  | Readonly<{ kind: 'refused'; message: string }>

const takesNoWord = (flag: NamedFlag): boolean => flag.kind === 'boolean' || flag.kind === 'ignored'

type Step = CommandLine | Readonly<{ kind: 'next'; index: number }>

const refuse = (message: string): Step => ({ kind: 'refused', message })

/** Reads the flag at `index`, one call of Go's `FlagSet.parseOne`. */
function parseOne(argv: readonly string[], index: number, settings: Settings): Step {
  const word = argv[index] ?? ''
  if (word.length < 2 || !word.startsWith('-')) return { kind: 'parsed', words: argv.slice(index) }
  if (word === '--') return { kind: 'parsed', words: argv.slice(index + 1) }
  const body = word.slice(word.startsWith('--') ? 2 : 1)
  if (body.startsWith('-') || body.startsWith('=')) return refuse(`bad flag syntax: ${word}`)
  const equals = body.indexOf('=', 1)
  const name = equals < 0 ? body : body.slice(0, equals)
  const attached = equals < 0 ? undefined : body.slice(equals + 1)
  const flag = findFlag(name)
  if (flag === undefined) {
    if (name === 'help' || name === 'h') return { kind: 'help' }
    return refuse(`flag provided but not defined: -${name}`)
  }
  if (takesNoWord(flag)) {
    const text = attached ?? 'true'
    const reason = settings.setText(flag, text)
    if (reason === undefined) return { kind: 'next', index: index + 1 }
    return refuse(`invalid boolean value ${goQuote(text)} for -${name}: ${reason}`)
  }
  const text = attached ?? argv[index + 1]
  if (text === undefined) return refuse(`flag needs an argument: -${name}`)
  const reason = settings.setText(flag, text)
  if (reason !== undefined) {
    return refuse(`invalid value ${goQuote(text)} for flag -${name}: ${reason}`)
  }
  return { kind: 'next', index: index + (attached === undefined ? 2 : 1) }
}

/**
 * Reads the words after the program's name into `settings`, by the rules of Go's flag package:
 * one dash or two, `=` or a separate word, a boolean never takes the next word, the first word
 * that is no flag ends the flags, the last of a repeated flag wins.
 */
export function parseCommandLine(argv: readonly string[], settings: Settings): CommandLine {
  let index = 0
  while (index < argv.length) {
    const step = parseOne(argv, index, settings)
    if (step.kind !== 'next') return step
    index = step.index
  }
  return { kind: 'parsed', words: [] }
}
