/**
 * Values as Go's `strconv`, `flag` and `time` packages read and print them. Operators and tools
 * know these forms and texts from etcd, so they are kept to the letter.
 */

/** A value that was read, or why it could not be (Go's words, without a prefix). */
export type Parsed<T> =
  | Readonly<{ kind: 'value'; value: T }>
  | Readonly<{ kind: 'refused'; reason: string }>

export const value = <T>(read: T): Parsed<T> => ({ kind: 'value', value: read })
export const refused = (reason: string): Parsed<never> => ({ kind: 'refused', reason })

const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  '\u0007': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\u000b': '\\v',
  '"': '\\"',
  '\\': '\\\\',
}

/** Go's `%q` of a string: double quotes, control characters escaped. */
export function goQuote(text: string): string {
  let quoted = ''
  for (const character of text) {
    const short = SHORT_ESCAPES[character]
    const code = character.codePointAt(0) ?? 0
    if (short !== undefined) quoted += short
    else if (code < 0x20 || code === 0x7f) quoted += `\\x${code.toString(16).padStart(2, '0')}`
    else quoted += character
  }
  return `"${quoted}"`
}

/** Go's `%q` of a list of strings: `["a" "b"]`. */
export function goQuoteList(texts: readonly string[]): string {
  return `[${texts.map(goQuote).join(' ')}]`
}

const TRUE_TEXTS = new Set(['1', 't', 'T', 'true', 'TRUE', 'True'])
const FALSE_TEXTS = new Set(['0', 'f', 'F', 'false', 'FALSE', 'False'])

/** `strconv.ParseBool`, with the text of Go's flag package. */
export function parseBoolean(text: string): Parsed<boolean> {
  if (TRUE_TEXTS.has(text)) return value(true)
  if (FALSE_TEXTS.has(text)) return value(false)
  return refused('parse error')
}

/** Bounds of an integer flag, both inclusive. */
export interface IntegerRange {
  readonly min: bigint
  readonly max: bigint
}

export const INT64: IntegerRange = { min: -(2n ** 63n), max: 2n ** 63n - 1n }
export const UINT64: IntegerRange = { min: 0n, max: 2n ** 64n - 1n }
export const UINT32: IntegerRange = { min: 0n, max: 2n ** 32n - 1n }

const DIGITS =
  /^(?:0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO]?(?:_?[0-7])+|0|[1-9](?:_?[0-9])*)$/

function readInteger(text: string, range: IntegerRange): bigint | 'syntax' | 'range' {
  const isSigned = range.min < 0n
  const isNegative = isSigned && text.startsWith('-')
  const digits = isSigned && /^[+-]/.test(text) ? text.slice(1) : text
  if (!DIGITS.test(digits)) return 'syntax'
  const plain = digits.replaceAll('_', '')
  const magnitude = BigInt(/^0[0-7]/.test(plain) ? `0o${plain.slice(1)}` : plain)
  const read = isNegative ? -magnitude : magnitude
  return read < range.min || read > range.max ? 'range' : read
}

/**
 * An integer in base 10, 16 (0x), 8 (0o or a leading 0) or 2 (0b), `_` allowed between digits.
 * Beyond 2^53 the result is rounded: no setting has a use for the last digits of such a number.
 */
export function parseInteger(text: string, range: IntegerRange): Parsed<number> {
  const read = readInteger(text, range)
  if (read === 'syntax') return refused('parse error')
  if (read === 'range') return refused('value out of range')
  return value(Number(read))
}

/** As parseInteger, with the wording of `strconv` itself, which etcd's own uint32 flag shows. */
export function parseUint32(text: string): Parsed<number> {
  const read = readInteger(text, UINT32)
  if (typeof read === 'bigint') return value(Number(read))
  const why = read === 'syntax' ? 'invalid syntax' : 'value out of range'
  return refused(`strconv.ParseUint: parsing ${goQuote(text)}: ${why}`)
}

const NANOSECONDS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  '\u00b5s': 1_000n,
  '\u03bcs': 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
}
const FRACTION_DIGITS_MAX = 18

/** `time.ParseDuration`: `1h2m3.5s`, optional sign, in milliseconds. Texts are Go's. */
export function parseDurationMs(text: string): Parsed<number> {
  const invalid = refused(`time: invalid duration ${goQuote(text)}`)
  const isNegative = text.startsWith('-')
  let rest = /^[+-]/.test(text) ? text.slice(1) : text
  if (rest === '0') return value(0)
  if (rest === '') return invalid
  let total = 0n
  while (rest !== '') {
    const number = /^(\d*)(?:\.(\d*))?/.exec(rest)
    const whole = number?.[1] ?? ''
    const fraction = (number?.[2] ?? '').slice(0, FRACTION_DIGITS_MAX)
    if (whole === '' && fraction === '') return invalid
    rest = rest.slice(number?.[0].length ?? 0)
    const unit = /^[^.\d]*/.exec(rest)?.[0] ?? ''
    if (unit === '') return refused(`time: missing unit in duration ${goQuote(text)}`)
    const scale = NANOSECONDS[unit]
    if (scale === undefined) {
      return refused(`time: unknown unit ${goQuote(unit)} in duration ${goQuote(text)}`)
    }
    rest = rest.slice(unit.length)
    total += BigInt(whole === '' ? '0' : whole) * scale
    if (fraction !== '') total += (BigInt(fraction) * scale) / 10n ** BigInt(fraction.length)
    if (total > INT64.max) return invalid
  }
  return value(Number(isNegative ? -total : total) / 1e6)
}

/** Go's print of a duration: `1h2m3.5s`, `100ms`, `0s`. */
export function formatDurationMs(durationMs: number): string {
  const sign = durationMs < 0 ? '-' : ''
  const nanoseconds = Math.round(Math.abs(durationMs) * 1e6)
  if (nanoseconds === 0) return '0s'
  if (nanoseconds < 1e3) return `${sign}${nanoseconds}ns`
  if (nanoseconds < 1e6) return `${sign}${nanoseconds / 1e3}\u00b5s`
  if (nanoseconds < 1e9) return `${sign}${nanoseconds / 1e6}ms`
  const hours = Math.floor(nanoseconds / 3.6e12)
  const minutes = Math.floor((nanoseconds % 3.6e12) / 6e10)
  const seconds = (nanoseconds % 6e10) / 1e9
  if (hours > 0) return `${sign}${hours}h${minutes}m${seconds}s`
  return minutes > 0 ? `${sign}${minutes}m${seconds}s` : `${sign}${seconds}s`
}
