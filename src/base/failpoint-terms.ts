/**
 * The little language that says what a failpoint does: `term -> term -> ...`, where a term is
 * `modifiers action(value)`. It is the one of gofail, which etcd's own tests speak. The first term
 * whose modifiers all allow it is carried out.
 */

/** `N*` allows N times; `P%`, written with a point (`50.0%`), allows in so many of 100 cases. */
export type Modifier =
  | { readonly kind: 'count'; left: number }
  | { readonly kind: 'percent'; readonly percent: number }

export const FAILPOINT_ACTIONS = ['off', 'return', 'sleep', 'panic', 'break', 'print'] as const
export type FailpointAction = (typeof FAILPOINT_ACTIONS)[number]

export interface Term {
  readonly modifiers: readonly Modifier[]
  readonly action: FailpointAction
  /** What stands in brackets; undefined when nothing does. */
  readonly value: string | number | boolean | undefined
}

/** No text that arms a failpoint is longer, in characters. */
export const TERMS_CHARACTERS_MAX = 4096

const MODIFIER = /^(?:(\d+(?:\.\d*))%|(\d+)\*)/
const ACTION = new RegExp(`^(?:${FAILPOINT_ACTIONS.join('|')})`)
const VALUE = /^\((?:"([^"\\]*)"|([+-]?\d+)|(true|false))?\)/

/** Reads a chain of terms; undefined when it is none. */
export function parseTerms(text: string): readonly Term[] | undefined {
  if (text.length > TERMS_CHARACTERS_MAX) return undefined
  const terms: Term[] = []
  let rest = text
  while (rest.length > 0) {
    if (terms.length > 0) {
      if (!rest.startsWith('->')) return undefined
      rest = rest.slice(2)
      // An arrow at the end is followed by nothing, and gofail lets that be.
      if (rest === '') break
    }
    const parsed = parseTerm(rest)
    if (parsed === undefined) return undefined
    terms.push(parsed.term)
    rest = parsed.rest
  }
  return terms.length === 0 ? undefined : terms
}

function parseTerm(text: string): { readonly term: Term; readonly rest: string } | undefined {
  const modifiers: Modifier[] = []
  let rest = text
  for (let found = MODIFIER.exec(rest); found !== null; found = MODIFIER.exec(rest)) {
    const [whole, percent, count] = found
    if (percent !== undefined) modifiers.push({ kind: 'percent', percent: Number(percent) })
    else modifiers.push({ kind: 'count', left: Number(count) })
    rest = rest.slice(whole.length)
  }
  const action = ACTION.exec(rest)?.[0] as FailpointAction | undefined
  if (action === undefined) return undefined
  rest = rest.slice(action.length)
  const bracket = VALUE.exec(rest)
  if (bracket === null) return { term: { modifiers, action, value: undefined }, rest }
  const [whole, quoted, digits, truth] = bracket
  const number = digits === undefined ? undefined : Number(digits)
  const value = quoted ?? number ?? (truth === undefined ? undefined : truth === 'true')
  return { term: { modifiers, action, value }, rest: rest.slice(whole.length) }
}

const UNIT_MS = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const
const DURATION_PART = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)/y

/** Milliseconds of a duration as Go writes it (`1m30s`); undefined when it is none. */
export function durationMs(text: string): number | undefined {
  if (text === '0') return 0
  let sum = 0
  DURATION_PART.lastIndex = 0
  let end = 0
  for (let part = DURATION_PART.exec(text); part !== null; part = DURATION_PART.exec(text)) {
    sum += Number(part[1]) * UNIT_MS[part[2] as keyof typeof UNIT_MS]
    end = DURATION_PART.lastIndex
  }
  return end === text.length && end > 0 ? sum : undefined
}
