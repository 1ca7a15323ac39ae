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

/** In the order in which etcd 2.3 looks at them, and finds two that contradict each other. */
const pairs: readonly LegacyPair[] = [
  { urls: 'listen-peer-urls', address: 'peer-bind-addr', portFrom: 'peer-addr', isPeer: true },
  { urls: 'initial-advertise-peer-urls', address: 'peer-addr', isPeer: true },
  { urls: 'listen-client-urls', address: 'bind-addr', portFrom: 'addr', isPeer: false },
  { urls: 'advertise-client-urls', address: 'addr', isPeer: false },
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
 * when a list and its address are both given; an address to listen on is also given by the one to
 * advertise. The lists do not count as given, so `-bind-addr` alone may go without `-addr`.
 */
export function applyLegacyAddresses(settings: Settings): string | undefined {
  for (const { urls, address, portFrom, isPeer } of pairs) {
    const other = portFrom === undefined ? undefined : settings.get(portFrom)
    const target =
      settings.get(address) ?? (other === undefined ? undefined : `[::]:${lastPort(other)}`)
    if (target === undefined) continue
    if (settings.isGiven(urls)) return `Set only one of flags -${urls} and -${address}`
    const flag = findFlag(urls)
    invariant(flag !== undefined, 'the flag a legacy address stands for must exist')
    const reason = settings.derive(flag, `${scheme(settings, isPeer)}://${target}`)
    if (reason !== undefined) return reason
  }
  return undefined
}
