/** The command line of `etcd discovery serve`. */
import { parseArgs } from 'node:util'

export interface ServiceFlags {
  /** Where to listen: `host:port`; an empty host is every address. */
  readonly address: string
  /** What token URLs begin with; undefined = the address that a request came to. */
  readonly urlPrefix: string | undefined
  /** The cluster that keeps the tokens; empty = a member of its own. */
  readonly members: readonly URL[]
  readonly caFile: string
  readonly clientCertFile: string
  readonly clientKeyFile: string
  /** Certificate and key of the service itself; '' = plain HTTP. */
  readonly certFile: string
  readonly keyFile: string
  readonly dataDir: string
  readonly listenClientUrl: string
  readonly listenPeerUrl: string
}

export type ServiceFlagsOutcome =
  | Readonly<{ kind: 'run'; flags: ServiceFlags }>
  | Readonly<{ kind: 'print'; stdout: string; stderr: string; exitCode: number }>

const table = {
  addr: {
    short: 'a',
    default: '127.0.0.1:8087',
    help: 'host:port to listen on; :8087 = everywhere',
  },
  host: { short: 'h', default: '', help: 'what token URLs begin with (as requests came in)' },
  etcd: { short: 'e', default: '', help: 'URLs of the cluster that keeps tokens, by commas' },
  'etcd-cacert': { default: '', help: 'authorities of that cluster' },
  'etcd-cert': { default: '', help: 'certificate to show to that cluster' },
  'etcd-key': { default: '', help: 'its key' },
  'cert-file': { default: '', help: 'certificate of this service; HTTPS with it' },
  'key-file': { default: '', help: 'its key' },
  'data-dir': { default: 'discovery.etcd', help: 'without --etcd: data of the own member' },
  'listen-client-url': { default: 'http://127.0.0.1:2379', help: 'without --etcd: its client URL' },
  'listen-peer-url': { default: 'http://127.0.0.1:2380', help: 'without --etcd: its peer URL' },
} as const

type Name = keyof typeof table
interface Row {
  readonly short?: string
  readonly default: string
  readonly help: string
}
const rows = Object.entries(table) as [Name, Row][]

/** The names of all flags. */
export const serviceFlagNames: readonly string[] = rows.map(([name]) => name)

/** Columns up to the descriptions. */
const HELP_COLUMN = 28

function usage(): string {
  const lines = rows.map(([name, row]) => {
    const flag = `  ${row.short === undefined ? '    ' : `-${row.short}, `}--${name}`
    const given = row.default === '' ? '' : ` (default ${row.default})`
    return `${flag.padEnd(HELP_COLUMN)}${row.help}${given}`
  })
  return [
    'Usage:',
    '  etcd discovery serve [flags]',
    '',
    'Serves tokens for `etcd --discovery`: GET /new?size=3 makes one. They are kept in the v2 keys of a',
    'cluster (--etcd), or of a member that is started with the service and lives in --data-dir.',
    '',
    'Flags:',
    ...lines,
    `${'      --help'.padEnd(HELP_COLUMN)}this text`,
    '',
  ].join('\n')
}

const print = (exitCode: number, mistake = ''): ServiceFlagsOutcome => ({
  kind: 'print',
  stdout: exitCode === 0 ? usage() : '',
  stderr: exitCode === 0 ? '' : `Error: ${mistake}\n\n${usage()}`,
  exitCode,
})

/** `http://` or `https://`, a host, and nothing else. */
function parseMember(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isBare = url?.pathname === '/' && url.search === '' && url.hash === ''
  if (url === undefined || !/^https?:$/.test(url.protocol) || !isBare) {
    throw new Error(`--etcd: Expected \`http(s)://host:port\`, got ${JSON.stringify(text)}`)
  }
  return url
}

function parseAddress(text: string): string {
  if (/^(?:[^:]*|\[[^\]]*\]):\d+$/.test(text)) return text
  throw new Error(`--addr: Expected \`host:port\`, got ${JSON.stringify(text)}`)
}

function checkPairs(read: Readonly<Record<Name, string>>): void {
  for (const [cert, key] of [
    ['etcd-cert', 'etcd-key'],
    ['cert-file', 'key-file'],
  ] as const) {
    if ((read[cert] === '') !== (read[key] === '')) {
      throw new Error(`--${cert} and --${key} belong together`)
    }
  }
}

/** Reads the words after `etcd discovery`. */
export function parseServiceFlags(words: readonly string[]): ServiceFlagsOutcome {
  const [verb, ...rest] = words
  if (verb === undefined || verb === '--help' || verb === 'help') return print(0)
  if (verb !== 'serve')
    return print(1, `unknown command ${JSON.stringify(verb)} for "etcd discovery"`)
  try {
    const options = Object.fromEntries(
      rows.map(([name, row]) => [
        name,
        {
          type: 'string' as const,
          default: row.default,
          ...(row.short === undefined ? {} : { short: row.short }),
        },
      ]),
    )
    const { values } = parseArgs({ args: rest, options: { ...options, help: { type: 'boolean' } } })
    if (values.help === true) return print(0)
    const read = values as Readonly<Record<Name, string>>
    checkPairs(read)
    const members =
      read.etcd === '' ? [] : read.etcd.split(',').map((one) => parseMember(one.trim()))
    return {
      kind: 'run',
      flags: {
        address: parseAddress(read.addr),
        urlPrefix: read.host === '' ? undefined : read.host,
        members,
        caFile: read['etcd-cacert'],
        clientCertFile: read['etcd-cert'],
        clientKeyFile: read['etcd-key'],
        certFile: read['cert-file'],
        keyFile: read['key-file'],
        dataDir: read['data-dir'],
        listenClientUrl: read['listen-client-url'],
        listenPeerUrl: read['listen-peer-url'],
      },
    }
  } catch (error) {
    return print(1, error instanceof Error ? error.message : String(error))
  }
}
