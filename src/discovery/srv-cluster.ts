/** The members of a cluster from the SRV records of a domain (facts: ops.md 8.2). */
import { isIP, isIPv6 } from 'node:net'
import { type ServerUrl, urlTexts } from '../config/server-url.js'
import type { Log } from '../ports/log.js'
import type { DnsLookups, SrvRecord } from './dns-lookups.js'

export interface SrvClusterOptions {
  /** `--discovery-srv`. */
  readonly domain: string
  /** `--discovery-srv-name`: a suffix to the names of the services; '' = none. */
  readonly service: string
  /** Own name, given to the record that leads to an address this member advertises. */
  readonly name: string
  readonly advertisedUrls: readonly ServerUrl[]
  readonly lookups: DnsLookups
  readonly log: Log
  /** A number from 0 up to 1: records of one priority come in an order of chance. */
  readonly random: () => number
}

type Scheme = 'http' | 'https'

/** Moves one of the records that are left to the front, heavier ones rather. */
function pickByWeight(left: SrvRecord[], random: () => number): SrvRecord | undefined {
  const sum = left.reduce((total, { weight }) => total + weight, 0)
  let point = Math.floor(random() * sum)
  const at = left.findIndex(({ weight }) => {
    point -= weight
    return point < 0
  })
  return left.splice(Math.max(at, 0), 1)[0]
}

/** By priority, and by chance and weight within one (RFC 2782). */
export function orderRecords(
  records: readonly SrvRecord[],
  random: () => number,
): readonly SrvRecord[] {
  const groups = new Map<number, SrvRecord[]>()
  for (const record of records) {
    groups.set(record.priority, [...(groups.get(record.priority) ?? []), record])
  }
  const ordered: SrvRecord[] = []
  for (const [, group] of [...groups].sort(([left], [right]) => left - right)) {
    const left = group.sort((one, other) => one.weight - other.weight)
    for (;;) {
      const picked = pickByWeight(left, random)
      if (picked === undefined) break
      ordered.push(picked)
    }
  }
  return ordered
}

const hostPort = (host: string, port: number): string =>
  isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`

/** Targets are full names, never to be completed. */
const rooted = (target: string): string => (isIP(target) === 0 ? `${target}.` : target)

/**
 * `name=url` for each record of one service. A record that leads to an advertised address gets the
 * own name, the others numbers from 0; one whose host cannot be found, or that leads here under
 * another scheme, is left out, and its failure is what is told when nothing is left.
 */
async function pairsOf(
  scheme: Scheme,
  service: string,
  options: SrvClusterOptions,
): Promise<readonly string[]> {
  const { domain, name, advertisedUrls, lookups } = options
  const own = new Map<string, ServerUrl>()
  for (const url of advertisedUrls) own.set(await lookups.address(url.host), url)
  const fail = (reason: unknown): Error => {
    const text = reason instanceof Error ? reason.message : String(reason)
    return new Error(`error querying DNS SRV records for _${service} ${text}`, { cause: reason })
  }
  const records = await lookups.srv(service, domain).catch((error: unknown) => {
    throw fail(error)
  })
  const pairs: string[] = []
  let failure: unknown
  let number = 0
  for (const { target, port } of orderRecords(records, options.random)) {
    const place = hostPort(target, port)
    try {
      const advertised = own.get(await lookups.address(hostPort(rooted(target), port)))
      let called = name
      if (advertised === undefined || name === '') {
        called = String(number)
        number += 1
      }
      if (advertised !== undefined && advertised.scheme !== scheme) {
        throw new Error(
          `bootstrap at ${scheme}://${place} from DNS for ${service} has scheme mismatch with ` +
            `expected peer ${advertised.text}`,
        )
      }
      pairs.push(`${called}=${scheme}://${place}`)
    } catch (error) {
      failure = error
    }
  }
  if (pairs.length === 0 && failure !== undefined) throw fail(failure)
  return pairs
}

interface Asked {
  readonly pairs: readonly string[]
  readonly failure: Error | undefined
}

async function ask(
  scheme: Scheme,
  service: string,
  before: readonly string[],
  options: SrvClusterOptions,
): Promise<Asked> {
  let pairs: readonly string[] = []
  let failure: Error | undefined
  try {
    pairs = await pairsOf(scheme, service, options)
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error))
  }
  options.log.info(
    `get cluster for ${scheme === 'https' ? 'etcd-server-ssl' : 'etcd-server'} SRV`,
    {
      'service-scheme': scheme,
      'service-name': service,
      'server-name': options.name,
      'discovery-srv': options.domain,
      'advertise-peer-urls': urlTexts(options.advertisedUrls),
      'found-cluster': [...before, ...pairs],
      ...(failure === undefined ? {} : { error: failure.message }),
    },
  )
  return { pairs, failure }
}

/** What DNS says of the cluster. */
export interface SrvCluster {
  /** `name=url` of each member; empty = nothing was found. */
  readonly pairs: readonly string[]
  /** What went wrong, though something may have been found; one service alone often exists. */
  readonly failure: string | undefined
}

/** Asks for the services with TLS and in plain text and joins what they have. Logs as etcd does. */
export async function findSrvCluster(options: SrvClusterOptions): Promise<SrvCluster> {
  const suffix = options.service === '' ? '' : `-${options.service}`
  const secure = await ask('https', `etcd-server-ssl${suffix}`, [], options)
  const plain = await ask('http', `etcd-server${suffix}`, secure.pairs, options)
  const failures = [secure.failure, plain.failure].flatMap((failure) => failure?.message ?? [])
  const pairs = [...secure.pairs, ...plain.pairs]
  if (failures.length === 0) return { pairs, failure: undefined }
  const failure = failures.join('; ')
  options.log.warn('failed to resolve during SRV discovery', {
    error: failure,
    ...(failures.length > 1 ? { errorCauses: failures.map((error) => ({ error })) } : {}),
  })
  return { pairs, failure }
}
