import { invariant } from '../base/invariant.js'
import { type FlagName, findFlag } from './flag-table.js'
import type { Settings } from './settings.js'

interface LegacyPair {
  readonly urls: FlagName
  readonly address: 'addr' | 'bind-addr' | 'peer-addr' | 'peer-bind-addr'
  /** A listening address that is not given listens everywhere on the port of this one. */
  readonly portFrom?: 'addr' | 'peer-addr'
  readonly isPeer: boolean
}

const pairs: readonly LegacyPair[] = [
  { urls: 'initial-advertise-peer-urls', address: 'peer-addr', isPeer: true },
  { urls: 'listen-peer-urls', address: 'peer-bind-addr', portFrom: 'peer-addr', isPeer: true },
  { urls: 'advertise-client-urls', address: 'addr', isPeer: false },
  { urls: 'listen-client-urls', address: 'bind-addr', portFrom: 'addr', isPeer: false },
]

const lastPort = (address: string): string => address.slice(address.lastIndexOf(':') + 1)

function scheme(settings: Settings, isPeer: boolean): 'http' | 'https' {
  const files = isPeer
    ? settings.get('peer-cert-file') + settings.get('peer-key-file')
    : settings.get('cert-file') + settings.get('key-file')
  return files === '' ? 'http' : 'https'
}

/**
 * Turns the `IP:port` flags of etcd 2.x into the URL lists that replaced them. Returns the problem
 * when a list and its address are both given.
 */
export function applyLegacyAddresses(settings: Settings): string | undefined {
  for (const { urls, address, portFrom, isPeer } of pairs) {
    const given = settings.get(address)
    if (given !== undefined && settings.isGiven(urls)) {
      return `Set only one of flags -${urls} and -${address}`
    }
    const other = portFrom === undefined ? undefined : settings.get(portFrom)
    const isOpen = given === undefined && other !== undefined && !settings.isGiven(urls)
    const target = isOpen ? `[::]:${lastPort(other)}` : given
    if (target === undefined) continue
    const flag = findFlag(urls)
    invariant(flag !== undefined, 'the flag a legacy address stands for must exist')
    const reason = settings.setText(flag, `${scheme(settings, isPeer)}://${target}`)
    if (reason !== undefined) return reason
  }
  return undefined
}
