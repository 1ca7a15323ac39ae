import { networkInterfaces } from 'node:os'
import { findFlag } from './flag-table.js'
import { type Notice, notice } from './notice.js'
import { splitHostPort } from './server-url.js'
import type { Settings } from './settings.js'

/**
 * Finds the IPv4 address that other machines see, or `undefined` when there is no default route.
 */
export type DetectHost = () => string | undefined

/** Address of the interface of the default route, from the routing table of Linux. */
export function detectDefaultHost(readFile: (path: string) => string): string | undefined {
  let table: string
  try {
    table = readFile('/proc/net/route')
  } catch {
    // Another platform, or no /proc: the default addresses are advertised as they are.
    return undefined
  }
  for (const line of table.split('\n').slice(1)) {
    const [name = '', destination, , , , , , mask] = line.split('\t')
    if (destination !== '00000000' || mask !== '00000000') continue
    const found = networkInterfaces()[name]?.find((address) => address.family === 'IPv4')
    if (found !== undefined) return found.address
  }
  return undefined
}

const PAIRS = [
  ['initial-advertise-peer-urls', 'listen-peer-urls'],
  ['advertise-client-urls', 'listen-client-urls'],
] as const

/**
 * Where a listener is open to every network (0.0.0.0) and nothing was said about what to advertise,
 * advertises the detected host instead of localhost. Returns what to log.
 */
export function applyDefaultHost(settings: Settings, detectHost: DetectHost): readonly Notice[] {
  let used: string | undefined
  for (const [advertised, listened] of PAIRS) {
    const flag = findFlag(advertised)
    const [first, ...more] = settings.get(advertised)
    const split = splitHostPort(settings.get(listened)[0]?.host ?? '')
    if (flag === undefined || first === undefined || more.length > 0) continue
    if (first.text !== flag.default || split.kind === 'refused') continue
    if (split.value.host !== '0.0.0.0') continue
    const host = detectHost()
    if (host === undefined) continue
    const reason = settings.setText(flag, `${first.scheme}://${host}:${split.value.port}`)
    if (reason === undefined) used = host
  }
  return used === undefined
    ? []
    : [notice('info', 'detected default host for advertise', { host: used })]
}
