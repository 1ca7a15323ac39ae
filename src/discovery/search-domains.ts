/** The part of `/etc/resolv.conf` that says how short names are completed. */
export interface SearchDomains {
  /** Suffixes to try, each with its final dot; at most SUFFIXES_MAX. */
  readonly suffixes: readonly string[]
  /** From so many dots on a name is tried as it is before it is completed. */
  readonly dotsMin: number
}

/** More than any resolver takes; further ones are left out. */
export const SUFFIXES_MAX = 32
const DOTS_MIN_DEFAULT = 1
const DOTS_MIN_MAX = 15

const rooted = (name: string): string => (name.endsWith('.') ? name : `${name}.`)

/** Reads the text of resolv.conf; without `search` or `domain` the host name's domain counts. */
export function parseSearchDomains(text: string, hostName: string): SearchDomains {
  let suffixes: readonly string[] | undefined
  let dotsMin = DOTS_MIN_DEFAULT
  for (const line of text.split('\n')) {
    const [keyword, ...words] = line.trim().split(/\s+/)
    if (keyword === 'search') suffixes = words
    if (keyword === 'domain') suffixes = words.slice(0, 1)
    if (keyword !== 'options') continue
    for (const word of words) {
      const dots = /^ndots:(\d+)$/.exec(word)?.[1]
      if (dots !== undefined) dotsMin = Math.min(Number(dots), DOTS_MIN_MAX)
    }
  }
  const dot = hostName.indexOf('.')
  const own = dot > 0 && dot < hostName.length - 1 ? [hostName.slice(dot + 1)] : []
  return { suffixes: (suffixes ?? own).map(rooted).slice(0, SUFFIXES_MAX), dotsMin }
}

/** The full names to ask for, in order, as the resolvers of libc and Go do. */
export function fullNames(name: string, { suffixes, dotsMin }: SearchDomains): readonly string[] {
  if (name.endsWith('.')) return [name]
  const completed = suffixes.map((suffix) => (suffix === '.' ? `${name}.` : `${name}.${suffix}`))
  const isEnough = name.split('.').length - 1 >= dotsMin
  return isEnough ? [`${name}.`, ...completed] : [...completed, `${name}.`]
}
