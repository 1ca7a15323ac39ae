import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder } from './cluster.js'
import { etcdctl, PATIENCE } from './etcdctl.js'
import { type MemberKind, MemberProcess } from './member-process.js'
import { ProxyProcess } from './proxy-process.js'
import { until } from './until.js'
import { V3Client } from './v3-client.js'

/**
 * One command line of etcdctl (blanks separate, single quotes group), and what belongs to it. `$NAME` stands for
 * what an earlier step captured: the first group of `capture` in its output.
 */
export interface Step {
  readonly line: string
  readonly stdin?: string
  readonly capture?: readonly [name: string, pattern: RegExp]
  /** For commands that do not end: it is ended after this many lines of standard output. */
  readonly endAfterLines?: number
  /** What may differ, and why: replaced before the comparison, on both sides. */
  readonly mask?: readonly (readonly [pattern: RegExp, replacement: string])[]
  /** Objects, rows and lines of the output may come in any order. */
  readonly isUnordered?: boolean
  /** Raises this alarm through the API before the command. */
  readonly alarm?: 'NOSPACE' | 'CORRUPT'
}

/** The member every run of a transcript talks to: the same ports, hence the same ids. */
export interface Place {
  readonly clientUrl: string
  readonly peerUrl: string
}

const words = (line: string): readonly string[] =>
  [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '')

/** What differs between any two runs or versions: sizes, times, the version, the client's own warnings. */
const ALWAYS: readonly (readonly [RegExp, string])[] = [
  [/^\{"level":.*\n?/gm, ''],
  [/^\{"level":"warn".*$/gm, ''],
  [/\b3\.(?:4\.23|5\.33)\b/g, '<version>'],
  [/\b\d+(?:\.\d+)? (?:[kMG]?B)\b/g, '<size>'],
  [/"(dbSize|dbSizeInUse)":\d+/g, '"$1":<size>'],
  [/"(DBSize|DBSizeInUse)" : \d+/g, '"$1" : <size>'],
  [/\b[0-9.]+(?:µs|Âµs|ms|s)\b(?=$|"| \||\n)/gm, '<took>'],
  [/remaining\(\d+s\)/g, 'remaining(<s>)'],
  [/"ttl":(\d+)/g, '"ttl":<s>'],
  [/^"TTL" : \d+$/gm, '"TTL" : <s>'],
]

/** A table without the widths of its columns. */
function withoutWidths(text: string): string {
  if (!text.startsWith('+-')) return text
  const rows = text.split('\n').filter((row) => !row.startsWith('+-'))
  return rows.map((row) => row.replace(/ *\| */g, '|')).join('\n')
}

function normalise(text: string, captured: ReadonlyMap<string, string>, step: Step): string {
  let result = text
  for (const [name, value] of captured) {
    // etcdctl pads an id to 16 places here and not there: one with leading zeros is shorter.
    result = result.replaceAll(value.padStart(16), `<${name}>`).replaceAll(value, `<${name}>`)
    if (/^[0-9a-f]{8,16}$/.test(value)) {
      result = result.replaceAll(String(BigInt(`0x${value}`)), `<${name}>`)
    }
  }
  for (const [pattern, replacement] of [...(step.mask ?? []), ...ALWAYS]) {
    result = result.replace(pattern, replacement)
  }
  result = withoutWidths(result)
  if (step.isUnordered !== true) return result
  return result
    .split(/\[\{|\},\{|\}\]|\n/)
    .sort()
    .join('\n')
}

/** Longer than etcdctl's own patience. */
const STEP_MAX_MS = 20_000

const lineCount = (text: string): number => text.split('\n').length - 1

/** A gRPC proxy between etcdctl and the member, and the `host:port` it listens on. */
export interface Between {
  readonly kind: MemberKind
  readonly address: string
  readonly flags?: readonly string[]
}

/**
 * Runs the steps in order against one new member of this kind; one comparable text a step, in the same order. With
 * `between` they go through a gRPC proxy.
 */
export async function runTranscript(
  kind: MemberKind,
  place: Place,
  steps: readonly Step[],
  between?: Between,
): Promise<readonly string[]> {
  const folder = temporaryFolder(`diff-${kind}`)
  mkdirSync(join(folder, 'n1'))
  const flags = ['--initial-cluster', `n1=${place.peerUrl}`, '--initial-cluster-token', 'diff']
  const member = new MemberProcess({
    kind,
    name: 'n1',
    folder: join(folder, 'n1'),
    ...place,
    flags,
  })
  const client = new V3Client(place.clientUrl)
  const proxy = between && proxyBetween(between, place, folder)
  try {
    member.start()
    await until(`${kind} serves`, async () => (await fetch(`${place.clientUrl}/health`)).ok)
    await proxy?.startUntil('proxy client requests')
    const captured = new Map<string, string>()
    const texts: string[] = []
    const endpoint = between?.address ?? new URL(place.clientUrl).host
    for (const step of steps) texts.push(await runStep(step, { endpoint, captured, client }))
    return texts
  } catch (error) {
    throw new Error(`${kind}: ${String(error)}\n${member.log(4000)}\n${proxy?.log() ?? ''}`)
  } finally {
    client.close()
    await proxy?.stop('SIGKILL')
    await member.kill()
    rmSync(folder, { recursive: true, force: true })
  }
}

function proxyBetween({ kind, address, flags = [] }: Between, place: Place, folder: string) {
  const member = new URL(place.clientUrl).host
  const where = ['--endpoints', member, '--listen-addr', address, '--advertise-client-url', '']
  const args = ['grpc-proxy', 'start', ...where, ...flags]
  return new ProxyProcess({ kind, name: `${kind}-proxy`, folder, args })
}

interface Context {
  /** `host:port` that etcdctl is given. */
  readonly endpoint: string
  readonly captured: Map<string, string>
  readonly client: V3Client
}

async function runStep(step: Step, { endpoint, captured, client }: Context): Promise<string> {
  const { line, stdin, endAfterLines, capture, alarm } = step
  if (alarm !== undefined) {
    const { header } = await client.range({ key: 'x' })
    await client.activateAlarm(header.member_id, alarm)
  }
  const args = words(line).map((word) =>
    word.replace(/\$([A-Z0-9]+)/g, (_, name: string) => captured.get(name) ?? `$${name}`),
  )
  const { stdout, stderr, code } = await etcdctl({
    endpoints: [endpoint],
    args: [...PATIENCE, ...args],
    timeoutMs: STEP_MAX_MS,
    ...(stdin === undefined ? {} : { stdin }),
    ...(endAfterLines === undefined
      ? {}
      : { enough: (text: string) => lineCount(text) >= endAfterLines }),
  })
  const found = capture?.[1].exec(stdout)?.[1]
  if (capture !== undefined && found !== undefined) captured.set(capture[0], found)
  const [out, err] = [stdout, stderr].map((text) => normalise(text, captured, step))
  return `stdout:\n${out}\nstderr:\n${err}\nexit code: ${code}`
}
