import type { FlagDefinition, FlagGroup } from './flag.js'
import { flagTable } from './flag-table.js'

/** What a wrong command line and `--help` print on stderr, without the last line break. */
export const usageText = `Usage:

  etcd [flags]
    Run an etcd server.

  etcd --version
    Print the version.

  etcd -h | --help
    Print this help.

  etcd --config-file
    Read all settings from this YAML file. Other flags and environment variables are then ignored.

  etcd gateway
    Run a TCP forwarder in front of etcd servers.

  etcd grpc-proxy
    Run a proxy of the v3 API in front of etcd servers.
`

/** Headings of the help, in order. */
const headings: Readonly<Record<FlagGroup, string>> = {
  member: 'Member:',
  clustering: 'Clustering:',
  security: 'Security:',
  auth: 'Auth:',
  monitoring: 'Monitoring and Upkeep:',
  logging: 'Logging:',
  tracing: 'Tracing:',
  proxy: 'v2 Proxy:',
  experimental: 'Older names and experiments (prefix experimental-):',
  unsafe: 'Unsafe (may break the guarantees of the consensus protocol):',
  legacy: 'Names of etcd 2.x and 3.4:',
}

/** The groups in the order of help and docs, with their headings. */
export const groupHeadings = Object.entries(headings) as readonly (readonly [FlagGroup, string])[]

/** The default as help and docs show it. */
export function shownDefault(flag: FlagDefinition): string {
  return `'${flag.shown ?? flag.default}'`
}

/** All flags by group: what `--help` prints on stdout. */
export function flagsText(): string {
  const parts: string[] = []
  for (const [group, heading] of groupHeadings) {
    parts.push('', heading)
    for (const flag of flagTable) {
      if (flag.group !== group || flag.help === '') continue
      parts.push(`  --${flag.name} ${shownDefault(flag)}`)
      for (const line of flag.help.split('\n')) parts.push(`    ${line}`)
    }
  }
  return `${parts.join('\n')}\n`
}
