/**
 * What a member asks others before and beside consensus (facts: peer-protocol.md 9, 11; http.md 9).
 */
import { parseExactJson } from '../base/go-json.js'
import { type ClusterId, clusterId, parseHexId } from '../base/ids.js'
import type { DialOptions } from './dial.js'
import { callPeer, type PeerAnswer } from './peer-request.js'

/** Members, versions and hashes are short; a cluster of 1,000 members stays far below this. */
const ANSWER_BYTES_MAX = 1024 * 1024

export interface CallOptions extends DialOptions {
  /** For one URL, from the dial to the end of the answer. */
  readonly timeoutMs: number
}

/** A failed call, told per URL: for the log. */
export interface UrlFailure {
  readonly address: string
  readonly error: string
}

export interface RemoteCluster {
  readonly clusterId: ClusterId
  /** The JSON array of members as it came: its ids exceed what a number holds exactly. */
  readonly membersJson: string
  /** The URL that answered. */
  readonly url: string
}

export interface RemoteVersions {
  readonly etcdserver: string
  /** `not_decided` before the first election. */
  readonly etcdcluster: string
}

async function get(url: string, path: string, options: CallOptions): Promise<PeerAnswer> {
  const { timeoutMs } = options
  const answer = await callPeer({
    url: new URL(url),
    method: 'GET',
    path,
    agent: options,
    timeoutMs,
    answerBytesMax: ANSWER_BYTES_MAX,
  })
  if (answer.status !== 200) throw new Error(`unhandled http status ${answer.status}`)
  return answer
}

/**
 * Tries URL after URL; the first useful answer wins. Undefined = none; each failure goes to
 * `onFailure`.
 */
async function firstAnswer<Result>(
  urls: readonly string[],
  path: string,
  attempt: (url: string) => Promise<Result>,
  onFailure: (failure: UrlFailure) => void,
): Promise<Result | undefined> {
  for (const url of urls) {
    try {
      return await attempt(url)
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      onFailure({ address: `${url}${path}`, error: text })
    }
  }
  return undefined
}

/** The members as one of these peer URLs knows them, and the id of their cluster. */
export function fetchMembers(
  urls: readonly string[],
  options: CallOptions,
  onFailure: (failure: UrlFailure) => void = () => undefined,
): Promise<RemoteCluster | undefined> {
  const attempt = async (url: string): Promise<RemoteCluster> => {
    const { headers, body } = await get(url, '/members', options)
    const id = parseHexId(String(headers['x-etcd-cluster-id'] ?? ''))
    if (id === undefined) throw new Error('failed to parse cluster ID')
    const membersJson = body.toString('utf8')
    if (!Array.isArray(parseExactJson(membersJson)))
      throw new Error('failed to unmarshal cluster response')
    return { clusterId: clusterId(id), membersJson, url }
  }
  return firstAnswer(urls, '/members', attempt, onFailure)
}

/** The versions of the member behind these peer URLs. */
export function fetchVersion(
  urls: readonly string[],
  options: CallOptions,
  onFailure: (failure: UrlFailure) => void = () => undefined,
): Promise<RemoteVersions | undefined> {
  const attempt = async (url: string): Promise<RemoteVersions> => {
    const { body } = await get(url, '/version', options)
    const { etcdserver, etcdcluster } = JSON.parse(body.toString('utf8')) as Record<string, unknown>
    if (typeof etcdserver !== 'string' || typeof etcdcluster !== 'string') {
      throw new Error('failed to unmarshal response')
    }
    return { etcdserver, etcdcluster }
  }
  return firstAnswer(urls, '/version', attempt, onFailure)
}

/**
 * Whether a downgrade is under way, as the member behind these peer URLs knows; undefined before
 * etcd 3.5.
 */
export function fetchDowngradeEnabled(
  urls: readonly string[],
  options: CallOptions,
  onFailure: (failure: UrlFailure) => void = () => undefined,
): Promise<boolean | undefined> {
  const attempt = async (url: string): Promise<boolean> => {
    const text = (await get(url, '/downgrade/enabled', options)).body.toString('utf8').trim()
    if (text !== 'true' && text !== 'false') throw new Error('failed to convert response')
    return text === 'true'
  }
  return firstAnswer(urls, '/downgrade/enabled', attempt, onFailure)
}
