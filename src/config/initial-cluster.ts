import { isIP } from 'node:net'
import { goQuote, goQuoteList, type Parsed, value } from './go-value.js'
import type { InitialCluster, ServerConfig } from './server-config.js'
import {
  isSocket,
  parseServerUrls,
  type ServerUrl,
  sortUrls,
  splitHostPort,
  urlTexts,
} from './server-url.js'

/** URLs by member name. */
export type UrlsByName = ReadonlyMap<string, readonly ServerUrl[]>

/**
 * Reads `name=url,name=url`. A repeated name gathers its URLs; empty parts are skipped; a part
 * without `=` has an empty URL, which is refused as every bad URL is.
 */
export function parseUrlsByName(text: string): Parsed<UrlsByName> {
  const texts = new Map<string, string[]>()
  for (const part of text.split(',')) {
    if (part === '') continue
    const equals = part.indexOf('=')
    const name = equals < 0 ? part : part.slice(0, equals)
    const urls = texts.get(name) ?? []
    urls.push(equals < 0 ? '' : part.slice(equals + 1))
    texts.set(name, urls)
  }
  const members = new Map<string, readonly ServerUrl[]>()
  for (const [name, list] of texts) {
    const urls = parseServerUrls(list)
    if (urls.kind === 'refused') return urls
    members.set(name, urls.value)
  }
  return value(members)
}

/** Sorted `name=url` pairs joined by commas: the text that goes into logs and errors. */
export function formatUrlsByName(members: UrlsByName): string {
  const pairs: string[] = []
  for (const [name, urls] of members) for (const url of urls) pairs.push(`${name}=${url.text}`)
  return pairs.sort().join(',')
}

/** Reads `--initial-cluster` without refusing it yet: a member with data never needs it. */
export function createInitialCluster(text: string): InitialCluster {
  const parsed = parseUrlsByName(text)
  return parsed.kind === 'value'
    ? { text, members: parsed.value, problem: undefined }
    : { text, members: new Map(), problem: parsed.reason }
}

/**
 * Finds the IP address and port of a `host:port`. Rejects when it cannot; how long it tries
 * before is its own affair. It is asked only about names that are neither IP addresses nor
 * `localhost`.
 */
export type ResolveHost = (hostAndPort: string) => Promise<string>

/** Outcome of the checks before the first start. */
export type InitialClusterCheck =
  | Readonly<{ kind: 'checked'; members: UrlsByName }>
  | Readonly<{ kind: 'refused'; error: string }>

async function resolvedText(url: ServerUrl, resolveHost: ResolveHost): Promise<string> {
  if (isSocket(url)) return url.text
  const split = splitHostPort(url.host)
  if (split.kind === 'refused') return url.text
  const { host } = split.value
  if (host === 'localhost' || isIP(host) !== 0) return url.text
  const resolved = await resolveHost(url.host)
  return url.text.replace(url.host, () => resolved)
}

/** Why two lists of URLs name different places, or `undefined`: by text first, then resolved. */
async function urlsDifference(
  advertised: readonly ServerUrl[],
  inCluster: readonly ServerUrl[],
  resolveHost: ResolveHost,
): Promise<string | undefined> {
  const [left, right] = [urlTexts(sortUrls(advertised)), urlTexts(sortUrls(inCluster))]
  if (left.length !== right.length) return `len(${goQuoteList(left)}) != len(${goQuoteList(right)})`
  if (left.every((text, index) => text === right[index])) return undefined
  try {
    const resolve = (url: ServerUrl): Promise<string> => resolvedText(url, resolveHost)
    const resolvedLeft = (await Promise.all(advertised.map(resolve))).sort()
    const resolvedRight = (await Promise.all(inCluster.map(resolve))).sort()
    for (const [index, text] of resolvedLeft.entries()) {
      const other = resolvedRight[index] ?? ''
      if (text !== other) return `resolved urls: ${goQuote(text)} != ${goQuote(other)}`
    }
    return undefined
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown)
  }
}

async function advertiseMismatch(
  config: Pick<ServerConfig, 'name' | 'initialAdvertisePeerUrls'>,
  inCluster: readonly ServerUrl[],
  resolveHost: ResolveHost,
): Promise<string | undefined> {
  const { name, initialAdvertisePeerUrls } = config
  const difference = await urlsDifference(initialAdvertisePeerUrls, inCluster, resolveHost)
  if (difference === undefined) return undefined
  const advertised = urlTexts(sortUrls(initialAdvertisePeerUrls))
  const listed = urlTexts(inCluster)
  const shown = advertised.join(',')
  const unadvertised = [...new Set(listed)].filter((text) => !advertised.includes(text))
  if (unadvertised.length > 0) {
    const missing = unadvertised.map((text) => `${name}=${text}`).join(',')
    return (
      `--initial-cluster has ${missing} but missing from --initial-advertise-peer-urls=${shown} ` +
      `(${difference})`
    )
  }
  // etcd shows what the flag should have been, made from the advertised URLs, as its present value.
  const expected = formatUrlsByName(new Map([[name, initialAdvertisePeerUrls]]))
  const unlisted = [...new Set(advertised)].filter((text) => !listed.includes(text))
  if (unlisted.length > 0) {
    return (
      `--initial-advertise-peer-urls has ${unlisted.join(',')} but missing from ` +
      `--initial-cluster=${expected}`
    )
  }
  return `failed to resolve ${shown} to match --initial-cluster=${expected} (${difference})`
}

/** Whether two members, or one of them twice, name the same URL. */
export function hasDuplicateUrl(members: UrlsByName): boolean {
  const texts = [...members.values()].flatMap(urlTexts)
  return new Set(texts).size < texts.length
}

/**
 * The checks of a first start that need nothing but the configuration, in etcd's order. For a new
 * cluster: the own name is listed, with the advertised URLs (names are resolved when the texts
 * differ), no URL comes twice. For joining: name and duplicates only. Not to be called when the
 * member has data already.
 */
export async function checkInitialCluster(
  config: Pick<
    ServerConfig,
    'name' | 'initialCluster' | 'initialClusterState' | 'initialAdvertisePeerUrls'
  >,
  resolveHost: ResolveHost,
): Promise<InitialClusterCheck> {
  const { members, problem } = config.initialCluster
  const refuse = (error: string): InitialClusterCheck => ({ kind: 'refused', error })
  if (problem !== undefined) return refuse(`error setting up initial cluster: ${problem}`)
  const own = members.get(config.name)
  if (own === undefined) {
    return refuse(
      `couldn't find local name ${goQuote(config.name)} in the initial cluster configuration`,
    )
  }
  if (config.initialClusterState === 'new') {
    const mismatch = await advertiseMismatch(config, own, resolveHost)
    if (mismatch !== undefined) return refuse(mismatch)
  }
  if (hasDuplicateUrl(members)) {
    return refuse(`initial cluster ${formatUrlsByName(members)} has duplicate url`)
  }
  return { kind: 'checked', members }
}
