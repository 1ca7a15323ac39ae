import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { goQuote } from '../config/go-value.js'
import { splitHostPort } from '../config/server-url.js'
import type { CobraGroup } from './cobra.js'
import type { TcpRemote } from './tcp-proxy.js'

const CLIENT_PORT = '2379'
const PORT_MAX = 65_535

/** `etcd gateway`. */
export const gatewayCommand: CobraGroup = {
  name: 'gateway',
  help: 'gateway related command',
  startHelp: 'start the gateway',
  flags: [
    {
      name: 'listen-addr',
      type: 'string',
      default: '127.0.0.1:23790',
      help: 'host:port to listen on',
    },
    {
      name: 'discovery-srv',
      type: 'string',
      default: '',
      help: 'domain whose SRV records name the endpoints',
    },
    {
      name: 'discovery-srv-name',
      type: 'string',
      default: '',
      help: 'suffix of the service names in the SRV records',
    },
    {
      name: 'insecure-discovery',
      type: 'bool',
      default: 'false',
      help: 'take discovered endpoints without TLS, and without trying them',
    },
    {
      name: 'trusted-ca-file',
      type: 'string',
      default: '',
      help: 'authorities of the discovered endpoints',
    },
    {
      name: 'endpoints',
      type: 'strings',
      default: '127.0.0.1:2379',
      help: 'endpoints to pass connections on to, separated by commas',
    },
    {
      name: 'retry-delay',
      type: 'duration',
      default: '1m0s',
      help: 'time after which a failed endpoint is tried again',
    },
  ],
}

/** Outcome of a check: what was read, or the line with which the process ends. */
export type Checked<Value> =
  | Readonly<{ kind: 'value'; value: Value }>
  | Readonly<{ kind: 'refused'; line: string }>

const refuse = (line: string): Checked<never> => ({ kind: 'refused', line })

/** `host:port` of an endpoint: a scheme is dropped, the client port is the default. */
export function bareEndpoint(endpoint: string): string {
  const host = /^[a-zA-Z][a-zA-Z0-9+.-]*:\/\/(?:[^/?#@]*@)?([^/?#]+)/.exec(endpoint)?.[1]
  const bare = host ?? endpoint
  return /:\d+$/.test(bare) ? bare : `${bare}:${CLIENT_PORT}`
}

/** Endpoints from the command line, all of one priority and without weights. */
export function remotesOf(endpoints: readonly string[]): Checked<readonly TcpRemote[]> {
  const remotes: TcpRemote[] = []
  for (const endpoint of endpoints.map(bareEndpoint)) {
    const split = splitHostPort(endpoint)
    if (split.kind === 'refused') return refuse(`error parsing endpoint ${goQuote(endpoint)}`)
    const { host, port } = split.value
    // Go's reader of 16 bits leaves 0 where the number is too large: nobody can be reached there.
    const number = Number(port) <= PORT_MAX ? Number(port) : 0
    remotes.push({ host, port: number, priority: 0, weight: 0 })
  }
  return { kind: 'value', value: remotes }
}

/** Resolves a host name to all its addresses; rejects when there is none. */
export type LookupAll = (host: string) => Promise<readonly string[]>

export const lookupAll: LookupAll = async (host) => {
  if (isIP(host) !== 0) return [host]
  if (host === '') throw new Error('no such host')
  return (await lookup(host, { all: true })).map(({ address }) => address)
}

/**
 * Where to listen. Refused when a name cannot be resolved, or when an endpoint is the proxy itself:
 * its connections would go round for ever.
 */
export async function checkListenAddress(
  address: string,
  remotes: readonly TcpRemote[],
  lookupHost: LookupAll = lookupAll,
): Promise<Checked<{ readonly host: string; readonly port: number }>> {
  const split = splitHostPort(address)
  if (split.kind === 'refused') return refuse(`failed to validate listen address: ${address}\n`)
  const { host, port } = split.value
  let own: readonly string[]
  try {
    own = await lookupHost(host)
  } catch {
    return refuse(`failed to resolve listen host: ${host}\n`)
  }
  for (const remote of remotes) {
    let found: readonly string[]
    try {
      found = await lookupHost(remote.host)
    } catch {
      return refuse(`failed to resolve endpoint host: ${remote.host}\n`)
    }
    const same = String(remote.port) === port ? found.find((one) => own.includes(one)) : undefined
    if (same !== undefined) {
      const way = `${remote.host}:${remote.port}->${same}:${remote.port}`
      return refuse(
        `SRV or endpoint (${way}) should not resolve to the gateway listen addr (${address})\n`,
      )
    }
  }
  return { kind: 'value', value: { host, port: Number(port) } }
}
