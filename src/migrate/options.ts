import { parseArgs } from 'node:util'
import { readPath } from '../platform/pem-files.js'

/** How a side is spoken to. */
export interface Credentials {
  readonly tls: Readonly<{ ca?: Buffer; cert?: Buffer; key?: Buffer }>
  readonly user: Readonly<{ name: string; password: string }> | undefined
}

export interface MigrateOptions {
  /** Client URLs of members that serve the v2 API. */
  readonly from: readonly string[]
  /** Client URLs of members that serve the v3 API. */
  readonly to: readonly string[]
  /** Path in the v2 tree, without a slash at its end unless it is `/`. */
  readonly prefix: string
  readonly strip: boolean
  readonly isDryRun: boolean
  readonly overwrites: boolean
  readonly follows: boolean
  readonly statePath: string | undefined
  readonly fromCredentials: Credentials
  readonly toCredentials: Credentials
}

/** The words were help, or no command; what is to be said, and the exit code. */
export class UsageEnd extends Error {
  override readonly name = 'UsageEnd'
  readonly exitCode: number

  constructor(text: string, exitCode: number) {
    super(text)
    this.exitCode = exitCode
  }
}

const USAGE_EXIT_CODE = 2

function urlsOf(flag: string, given: string): readonly string[] {
  const urls = given.split(',').map((text) => text.trim())
  return urls.map((text) => {
    const whole = text.includes('://') ? text : `http://${text}`
    const url = URL.canParse(whole) ? new URL(whole) : undefined
    const isFit = url !== undefined && /^https?:$/.test(url.protocol) && url.pathname === '/'
    if (!isFit) throw new UsageEnd(`--${flag}: "${text}" is no http or https URL`, USAGE_EXIT_CODE)
    return url.origin
  })
}

function prefixOf(given: string): string {
  const parts = given.split('/').filter((part) => part !== '')
  if (parts.includes('.') || parts.includes('..')) {
    throw new UsageEnd(`--prefix: "${given}" is no path of a key`, USAGE_EXIT_CODE)
  }
  return `/${parts.join('/')}`
}

function userOf(flag: string, given: string | undefined): Credentials['user'] {
  if (given === undefined) return undefined
  const colon = given.indexOf(':')
  if (colon <= 0) throw new UsageEnd(`--${flag} takes NAME:PASSWORD`, USAGE_EXIT_CODE)
  return { name: given.slice(0, colon), password: given.slice(colon + 1) }
}

const HELP = `etcd migrate-v2 --from URLS --to URLS [flags]

Copies keys of the v2 API into keys of the v3 API.

  --from URLS           client URLs of members that serve the v2 API
  --to URLS             client URLs of members that serve the v3 API; may be the same members
  --prefix /            what of the v2 tree to copy
  --strip               leave the prefix out of the v3 keys
  --dry-run             show what would be done, and do nothing
  --state FILE          keep in FILE what was done, and go on from there after an interruption
  --follow              go on copying changes until interrupted
  --overwrite           write though the target has keys there that this migration did not write
  --cacert, --cert, --key FILE
                        authority, client certificate and its key, PEM, for both sides
  --from-user, --to-user NAME:PASSWORD
`

const flags = {
  from: { type: 'string' },
  to: { type: 'string' },
  prefix: { type: 'string', default: '/' },
  strip: { type: 'boolean', default: false },
  'dry-run': { type: 'boolean', default: false },
  state: { type: 'string' },
  follow: { type: 'boolean', default: false },
  overwrite: { type: 'boolean', default: false },
  cacert: { type: 'string' },
  cert: { type: 'string' },
  key: { type: 'string' },
  'from-user': { type: 'string' },
  'to-user': { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const

function read(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: flags, strict: true }).values
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown)
    throw new UsageEnd(`${why}\n\n${HELP}`, USAGE_EXIT_CODE)
  }
}

/** Reads the words behind `migrate-v2`. Throws UsageEnd for help and for what cannot be obeyed. */
export function parseMigrateOptions(argv: readonly string[]): MigrateOptions {
  const given = read(argv)
  if (given.help) throw new UsageEnd(HELP, 0)
  const { from, to, cacert, cert, key } = given
  if (from === undefined || to === undefined) {
    throw new UsageEnd(`--from and --to are needed\n\n${HELP}`, USAGE_EXIT_CODE)
  }
  if ((cert === undefined) !== (key === undefined)) {
    throw new UsageEnd('--cert and --key go together', USAGE_EXIT_CODE)
  }
  const tls = {
    ...(cacert === undefined ? {} : { ca: readPath(cacert) }),
    ...(cert === undefined ? {} : { cert: readPath(cert) }),
    ...(key === undefined ? {} : { key: readPath(key) }),
  }
  return {
    from: urlsOf('from', from),
    to: urlsOf('to', to),
    prefix: prefixOf(given.prefix),
    strip: given.strip,
    isDryRun: given['dry-run'],
    overwrites: given.overwrite,
    follows: given.follow,
    statePath: given.state,
    fromCredentials: { tls, user: userOf('from-user', given['from-user']) },
    toCredentials: { tls, user: userOf('to-user', given['to-user']) },
  }
}
