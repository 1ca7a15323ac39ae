/** House rules that no linter knows: layers, purity, banned words. Run as a test (test/tidy.test.ts). */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'

/** The level of each folder of src/ (ARCHITECTURE.md). Imports go to a strictly lower level only. */
export const LEVELS: Readonly<Record<string, number>> = {
  base: 0,
  wire: 1,
  raft: 2,
  mvcc: 2,
  lease: 2,
  auth: 2,
  v2store: 2,
  membership: 2,
  ports: 2,
  apply: 3,
  wal: 4,
  snapshot: 4,
  backend: 4,
  watch: 4,
  member: 5,
  platform: 6,
  peer: 6,
  http2: 6,
  grpc: 6.5,
  'api-v3': 6,
  gateway: 6,
  'api-v2': 6,
  ops: 6,
  config: 7,
  discovery: 7.2,
  proxy: 7.3,
  migrate: 7,
  daemon: 7.5,
  ctl: 8,
  utl: 8,
}

/** Up to this level a folder reaches the world through ports only. */
const PORTS_ONLY_MAX = 5
/** `ports/` holds types only, so whoever is above level 1 may name them, its own level included. */
const TYPES_FOR_ALL = 'ports'
const LINE_COLUMNS_MAX = 100
/** What the formatter cannot break: addresses, imports, and a text that stands alone on its line. */
const MAY_BE_LONG = /https?:\/\/|^\s*(import|export) |^\s*(return )?[`'].*[`'],?$/

/** In comments too. */
const UNFINISHED = /\bTODO\b|\bFIXME\b|\bXXX\b/

const BANNED: readonly { readonly pattern: RegExp; readonly instead: string }[] = [
  { pattern: /@ts-(ignore|nocheck)/, instead: 'a type that is true' },
  { pattern: /\bas any\b|: any\b|<any>/, instead: 'unknown and a check' },
  { pattern: /\bconsole\.(log|error|warn)\b/, instead: 'the Log port' },
  { pattern: /\blocaleCompare\b|\btoLocale/, instead: 'bytewise comparison' },
]
const BANNED_BELOW_PLATFORM: readonly { readonly pattern: RegExp; readonly instead: string }[] = [
  {
    pattern: /\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b|\bhrtime\b/,
    instead: 'the Clock port',
  },
  { pattern: /\bMath\.random\b|\brandomBytes\b/, instead: 'the Entropy port' },
  {
    pattern: /\bset(Timeout|Interval|Immediate)\b|\bqueueMicrotask\b/,
    instead: 'the Scheduler port',
  },
  { pattern: /from 'node:/, instead: 'a port' },
]

/** One broken rule, as `file:line: what`. */
export type Finding = string

export function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /\.(ts|mts|mjs)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}

const folderOf = (src: string, file: string): string => relative(src, file).split('/')[0] ?? ''
const isComment = (line: string): boolean => /^\s*(\*|\/\/|\/\*)/.test(line)

/** Checks every file of `src`. */
export function tidySource(src: string): Finding[] {
  return sourceFiles(src).flatMap((file) => tidyFile(src, file))
}

function tidyFile(src: string, file: string): Finding[] {
  const folder = folderOf(src, file)
  const level = LEVELS[folder]
  const name = relative(dirname(src), file)
  if (level === undefined && folder !== relative(src, file))
    return [`${name}:1: folder has no level`]
  const own = level ?? 9
  const findings: Finding[] = []
  const lines = readFileSync(file, 'utf8').split('\n')
  lines.forEach((line, at) => {
    const where = `${name}:${at + 1}`
    if (line.length > LINE_COLUMNS_MAX && !MAY_BE_LONG.test(line)) {
      findings.push(`${where}: longer than ${LINE_COLUMNS_MAX} columns`)
    }
    if (UNFINISHED.test(line)) findings.push(`${where}: unfinished; finish it, or say so in README`)
    for (const { pattern, instead } of BANNED) {
      if (!isComment(line) && pattern.test(line))
        findings.push(`${where}: ${pattern.source}; use ${instead}`)
    }
    if (own <= PORTS_ONLY_MAX && !isComment(line)) {
      for (const { pattern, instead } of BANNED_BELOW_PLATFORM) {
        if (pattern.test(line)) findings.push(`${where}: ${pattern.source}; use ${instead}`)
      }
    }
    const imported = /from '(\.[^']+)'/.exec(line)?.[1]
    if (imported !== undefined) findings.push(...checkImport(src, file, own, imported, where))
  })
  return findings
}

function checkImport(
  src: string,
  file: string,
  own: number,
  imported: string,
  where: string,
): Finding[] {
  if (!/\.(js|json)$/.test(imported)) return [`${where}: local imports end in .js`]
  const target = folderOf(src, resolve(dirname(file), imported))
  const targetLevel = LEVELS[target]
  if (targetLevel === undefined || target === folderOf(src, file)) return []
  if (target === TYPES_FOR_ALL && own >= 2) return []
  return targetLevel < own
    ? []
    : [`${where}: ${folderOf(src, file)} (${own}) imports ${target} (${targetLevel})`]
}

/** Import cycles between files of `src`, runtime imports only; each as `a -> b -> a`. */
export function importCycles(src: string): string[] {
  const edges = new Map<string, string[]>()
  for (const file of sourceFiles(src)) {
    const text = readFileSync(file, 'utf8')
    const targets = [...text.matchAll(/^(?:import|export) (?!type )[^']*from '(\.[^']+)'/gm)].map(
      (match) => resolve(dirname(file), match[1] ?? '').replace(/\.js$/, '.ts'),
    )
    edges.set(file, targets)
  }
  const cycles: string[] = []
  const state = new Map<string, 'open' | 'done'>()
  const path: string[] = []
  const visit = (file: string): void => {
    if (state.get(file) === 'done') return
    if (state.get(file) === 'open') {
      cycles.push(
        [...path.slice(path.indexOf(file)), file].map((one) => relative(src, one)).join(' -> '),
      )
      return
    }
    state.set(file, 'open')
    path.push(file)
    for (const target of edges.get(file) ?? []) if (edges.has(target)) visit(target)
    path.pop()
    state.set(file, 'done')
  }
  for (const file of edges.keys()) visit(file)
  return cycles
}
