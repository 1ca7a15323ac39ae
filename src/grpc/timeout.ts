import { goQuote } from './status.js'

const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 0.001,
  n: 0.000_001,
}

/**
 * Milliseconds of a `grpc-timeout` value, or the text that says what is wrong with it (grpc-go's).
 */
export function parseTimeout(value: string): number | string {
  if (value.length < 2) return `transport: timeout string is too short: ${goQuote(value)}`
  if (value.length > 9) return `transport: timeout string is too long: ${goQuote(value)}`
  const unit = UNIT_MS[value.charAt(value.length - 1)]
  if (unit === undefined) {
    return `transport: timeout unit is not recognized: ${goQuote(value)}`
  }
  const digits = value.slice(0, -1)
  if (!/^[+-]?\d+$/.test(digits)) {
    return `strconv.ParseInt: parsing ${goQuote(digits)}: invalid syntax`
  }
  return Number(digits) * unit
}
