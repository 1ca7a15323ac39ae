import type { Feature } from './availability.js'
import type { ServerUrl } from './server-url.js'

/**
 * What a flag's value is and how Go's flag package and etcd read it.
 * - text, boolean, duration (`1h2m3s`): as they say
 * - integer (64 bits, signed), unsigned (64 bits), uint32
 * - urls: comma list of server URLs, sorted, each once
 * - origins: `*` or a comma list of URLs, kept as texts
 * - list: comma list in the order given; set: comma list, sorted, each once
 * - choice: one of `choices`
 * - gates: `Name=true|false`, separated by commas
 * - address: `IP:port`, of etcd 2.x
 * - ignored: every value is accepted without effect; takes no separate word
 * - removed: every value is refused
 */
export type FlagKind =
  | 'text'
  | 'boolean'
  | 'duration'
  | 'integer'
  | 'unsigned'
  | 'uint32'
  | 'urls'
  | 'origins'
  | 'list'
  | 'set'
  | 'choice'
  | 'gates'
  | 'address'
  | 'ignored'
  | 'removed'

/** The value of a flag by its kind; durations are milliseconds. */
export interface FlagValues {
  readonly text: string
  readonly boolean: boolean
  readonly duration: number
  readonly integer: number
  readonly unsigned: number
  readonly uint32: number
  readonly urls: readonly ServerUrl[]
  readonly origins: readonly string[]
  readonly list: readonly string[]
  readonly set: readonly string[]
  readonly choice: string
  readonly gates: Readonly<Record<string, boolean>>
  /** `undefined` when not given. */
  readonly address: string | undefined
  readonly ignored: boolean
  readonly removed: boolean
}

/** Heading under which `--help` shows a flag. */
export type FlagGroup =
  | 'member'
  | 'clustering'
  | 'security'
  | 'auth'
  | 'monitoring'
  | 'logging'
  | 'tracing'
  | 'proxy'
  | 'experimental'
  | 'unsafe'
  | 'legacy'

/**
 * One flag. The command line, the environment, the YAML file, the help and the docs come from it.
 */
export interface FlagDefinition {
  /** As typed, without dashes. The environment variable is `ETCD_` + upper case with `_`. */
  readonly name: string
  readonly kind: FlagKind
  /** Text form of the default, as one would type it. */
  readonly default: string
  readonly group: FlagGroup
  /** What it does: full sentences, one per line. Empty = not shown by `--help`. */
  readonly help: string
  /** Shown by `--help` in place of `default`, where the default is worked out later. */
  readonly shown?: string
  /**
   * Path of keys in the YAML file; the flag's own name when absent; `false` = not settable there.
   */
  readonly yaml?: readonly [string, ...string[]] | false
  /** In the YAML file a `set` is a list rather than a comma-separated text. */
  readonly yamlList?: true
  /** Type that etcd names when the YAML value does not fit. */
  readonly goType?: string
  /** The legal values of a `choice`. */
  readonly choices?: readonly string[]
  /** What the flag turns on; refused by name while that is not available (availability.ts). */
  readonly feature?: Feature
}

/** Environment variable of a flag. */
export function environmentName(flagName: string): string {
  return `ETCD_${flagName.toUpperCase().replaceAll('-', '_')}`
}

/** Path of keys in the YAML file, or `undefined` when the file cannot set the flag. */
export function yamlPath(flag: FlagDefinition): readonly string[] | undefined {
  if (flag.yaml === false) return undefined
  if (flag.kind === 'ignored' || flag.kind === 'removed' || flag.kind === 'address')
    return undefined
  return flag.yaml ?? [flag.name]
}
