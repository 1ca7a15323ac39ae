/** Questions to the resolvers that this machine is set up with, failing in the words of Go. */
import { promises as dns, type LookupAddress } from 'node:dns'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { hostname } from 'node:os'
import { splitHostPort } from '../config/server-url.js'
import { fullNames, parseSearchDomains, type SearchDomains } from './search-domains.js'

export interface SrvRecord {
  /** Without a final dot. */
  readonly target: string
  readonly port: number
  /** Lower ones come first. */
  readonly priority: number
  readonly weight: number
}

export interface DnsLookups {
  /** The SRV records of `_service._tcp.domain`, in no order. Rejects with Go's text. */
  srv(service: string, domain: string): Promise<readonly SrvRecord[]>
  /** `address:port` of `host:port`, an IPv4 address if there is one. Rejects with Go's text. */
  address(hostAndPort: string): Promise<string>
}

const RESOLV_CONF = '/etc/resolv.conf'
/** As Go does without `options` in resolv.conf. */
const QUERY_TIMEOUT_MS = 5000
const QUERY_ATTEMPTS = 2
const DNS_PORT = 53
const PORT_MAX = 65_535

function machineSearchDomains(): SearchDomains {
  let text = ''
  try {
    text = readFileSync(RESOLV_CONF, 'utf8')
  } catch {
    // Without the file the local resolver is asked, and no name is completed.
  }
  return parseSearchDomains(text, hostname())
}

/** Why a question has no answer, as Go's resolver says it. */
function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  switch (code) {
    case 'ENOTFOUND':
    case 'ENODATA':
    case 'ENONAME':
      return 'no such host'
    case 'ESERVFAIL':
    case 'EREFUSED':
    case 'ENOTIMP':
    case 'EAI_AGAIN':
      return 'server misbehaving'
    case 'ETIMEOUT':
      return 'i/o timeout'
    case 'ECONNREFUSED':
      return 'connection refused'
    default:
      return error instanceof Error ? error.message : String(error)
  }
}

export interface DnsOptions {
  /** Servers to ask in place of the machine's, each `address:port`. */
  readonly servers?: readonly string[]
  readonly searchDomains?: SearchDomains
  /** Resolves a host name to addresses. Default: the machine's way, /etc/hosts included. */
  readonly lookupHost?: (host: string) => Promise<readonly LookupAddress[]>
}

/** DNS as this machine is set up for it. */
export class MachineDns implements DnsLookups {
  readonly #resolver = new dns.Resolver({ timeout: QUERY_TIMEOUT_MS, tries: QUERY_ATTEMPTS })
  readonly #search: SearchDomains
  readonly #lookupHost: (host: string) => Promise<readonly LookupAddress[]>

  constructor(options: DnsOptions = {}) {
    if (options.servers !== undefined) this.#resolver.setServers(options.servers)
    this.#search = options.searchDomains ?? machineSearchDomains()
    this.#lookupHost = options.lookupHost ?? ((host) => dns.lookup(host, { all: true }))
  }

  async srv(service: string, domain: string): Promise<readonly SrvRecord[]> {
    const name = `_${service}._tcp.${domain}`
    let failure: unknown
    for (const full of fullNames(name, this.#search)) {
      try {
        const records = await this.#resolver.resolveSrv(full)
        return records.map(({ name: target, ...rest }) => ({ target, ...rest }))
      } catch (error) {
        failure = error
      }
    }
    throw this.#failure(name, failure)
  }

  async address(hostAndPort: string): Promise<string> {
    const split = splitHostPort(hostAndPort)
    if (split.kind === 'refused') throw new Error(split.reason)
    const { host, port } = split.value
    if (!/^\d+$/.test(port) || Number(port) > PORT_MAX) {
      throw new Error(`lookup tcp/${port}: unknown port`)
    }
    const address = isIP(host) === 0 ? await this.#addressOf(host) : host
    return isIP(address) === 6 ? `[${address}]:${Number(port)}` : `${address}:${Number(port)}`
  }

  /** A full name is tried without its final dot too: /etc/hosts has names without. */
  async #addressOf(host: string): Promise<string> {
    let failure: unknown
    for (const name of host.endsWith('.') ? [host, host.slice(0, -1)] : [host]) {
      try {
        const found = await this.#lookupHost(name)
        const best = found.find(({ family }) => family === 4) ?? found[0]
        if (best !== undefined) return best.address
      } catch (error) {
        failure = error
      }
    }
    throw this.#failure(host, failure)
  }

  #failure(name: string, cause: unknown): Error {
    const [first = '127.0.0.1'] = this.#resolver.getServers()
    const hasPort = first.startsWith('[') ? first.includes(']:') : first.split(':').length === 2
    const address = isIP(first) === 6 ? `[${first}]` : first
    const server = hasPort ? first : `${address}:${DNS_PORT}`
    return new Error(`lookup ${name} on ${server}: ${reasonOf(cause)}`, { cause })
  }
}
