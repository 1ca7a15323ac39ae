/**
 * Times as Go writes them in JSON (time.RFC3339Nano), from and to unix nanoseconds, by arithmetic
 * alone: the pure folders have no calendar of the host's.
 */

const NANOS_PER_SECOND = 1_000_000_000n
const SECONDS_PER_DAY = 86_400n
/** Days from 0000-03-01 to 1970-01-01 in the proleptic Gregorian calendar. */
const EPOCH_DAYS = 719_468
const DAYS_PER_ERA = 146_097

const floorDivide = (a: bigint, b: bigint): bigint => {
  const quotient = a / b
  return a % b < 0n ? quotient - 1n : quotient
}

/** Year, month and day of a day counted from 1970-01-01 (years start in March while we count). */
function civilOfDay(day: number): { year: number; month: number; dayOfMonth: number } {
  const shifted = day + EPOCH_DAYS
  const era = Math.floor(shifted / DAYS_PER_ERA)
  const dayOfEra = shifted - era * DAYS_PER_ERA
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  )
  const dayOfYear =
    dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153)
  const dayOfMonth = dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
  return { year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfMonth }
}

function dayOfCivil(year: number, month: number, dayOfMonth: number): number {
  const shiftedYear = month <= 2 ? year - 1 : year
  const era = Math.floor(shiftedYear / 400)
  const yearOfEra = shiftedYear - era * 400
  const monthFromMarch = month > 2 ? month - 3 : month + 9
  const dayOfYear = Math.floor((153 * monthFromMarch + 2) / 5) + dayOfMonth - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100)
  return era * DAYS_PER_ERA + dayOfEra + dayOfYear - EPOCH_DAYS
}

const two = (value: number): string => String(value).padStart(2, '0')

/** `2026-11-21T04:14:09.459245196Z`: UTC, trailing zeros of the fraction left out. */
export function formatRfc3339Nano(unixNanos: bigint): string {
  const seconds = floorDivide(unixNanos, NANOS_PER_SECOND)
  const nanos = Number(unixNanos - seconds * NANOS_PER_SECOND)
  const day = floorDivide(seconds, SECONDS_PER_DAY)
  const secondOfDay = Number(seconds - day * SECONDS_PER_DAY)
  const { year, month, dayOfMonth } = civilOfDay(Number(day))
  const fraction = nanos === 0 ? '' : `.${String(nanos).padStart(9, '0').replace(/0+$/, '')}`
  const hour = Math.floor(secondOfDay / 3600)
  const minute = Math.floor(secondOfDay / 60) % 60
  const date = `${String(year).padStart(4, '0')}-${two(month)}-${two(dayOfMonth)}`
  return `${date}T${two(hour)}:${two(minute)}:${two(secondOfDay % 60)}${fraction}Z`
}

const RFC3339 =
  /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))$/

/** Unix nanoseconds of an RFC 3339 time with any offset; `undefined` when it is not one. */
export function parseRfc3339(text: string): bigint | undefined {
  const match = RFC3339.exec(text)
  if (match === null) return undefined
  const part = (at: number): number => Number(match[at] ?? 0)
  const [month, dayOfMonth, hour, minute, second] = [part(2), part(3), part(4), part(5), part(6)]
  const isInRange = month >= 1 && month <= 12 && dayOfMonth >= 1 && dayOfMonth <= 31
  if (!isInRange || hour > 23 || minute > 59 || second > 60) return undefined
  const day = dayOfCivil(part(1), month, dayOfMonth)
  const offset = (match[8] === '-' ? -1 : 1) * (part(9) * 3600 + part(10) * 60)
  const seconds = day * 86_400 + hour * 3600 + minute * 60 + second - offset
  const nanos = BigInt((match[7] ?? '').padEnd(9, '0'))
  return BigInt(seconds) * NANOS_PER_SECOND + nanos
}
