/**
 * The Content-Type of a request, read as Go's mime.ParseMediaType does, as far as v2 requests need
 * it.
 */

export type MediaType =
  | { readonly kind: 'type'; readonly type: string }
  | { readonly kind: 'bad'; readonly reason: string }

const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+"
const PARAMETER = new RegExp(`^\\s*;\\s*${TOKEN}=(?:${TOKEN}|"(?:[^"\\\\\\r\\n]|\\\\.)*")`)
const LEADING_TOKEN = new RegExp(`^${TOKEN}`)

const bad = (reason: string): MediaType => ({ kind: 'bad', reason: `mime: ${reason}` })

/** The type in lower case without its parameters, or Go's error text. */
export function parseMediaType(header: string): MediaType {
  const semicolon = header.indexOf(';')
  const type = (semicolon === -1 ? header : header.slice(0, semicolon)).trim().toLowerCase()
  const problem = typeProblem(type)
  if (problem !== undefined) return bad(problem)
  for (let rest = semicolon === -1 ? '' : header.slice(semicolon); rest.trim() !== ''; ) {
    if (rest.trim() === ';') break
    const parameter = PARAMETER.exec(rest)?.[0]
    if (parameter === undefined) return bad('invalid media parameter')
    rest = rest.slice(parameter.length)
  }
  return { kind: 'type', type }
}

function typeProblem(type: string): string | undefined {
  const main = LEADING_TOKEN.exec(type)?.[0]
  if (main === undefined) return 'no media type'
  const afterMain = type.slice(main.length)
  if (afterMain === '') return undefined
  if (!afterMain.startsWith('/')) return 'expected slash after first token'
  const sub = LEADING_TOKEN.exec(afterMain.slice(1))?.[0]
  if (sub === undefined) return 'expected token after slash'
  return afterMain.length === sub.length + 1 ? undefined : 'unexpected content after media subtype'
}
