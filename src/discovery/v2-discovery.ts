/** Bootstrap through a v2 discovery service: members meet under a token (facts: ops.md 8.1). */
import { basename } from 'node:path/posix'
import { parseInteger, UINT64 } from '../config/go-value.js'
import { parseUrlsByName } from '../config/initial-cluster.js'
import { parseGoUrl } from '../config/server-url.js'
import type { Log } from '../ports/log.js'
import {
  badEndpoint,
  badSizeKey,
  DiscoveryError,
  duplicateId,
  duplicateName,
  fullCluster,
  invalidUrl,
} from './discovery-error.js'
import { parseProxyRoute } from './http-route.js'
import { joinPath, type KeyNode, KeysClient, KeysError } from './keys-client.js'
import { type Pause, RetryPauses } from './retry-pauses.js'

/** Code of "Key already exists" in the v2 API. */
const NODE_EXIST = 105
const CONFIG = '_config'
/** Actions that bring a key into being. */
const CREATIONS: readonly string[] = ['create', 'set']

export interface V2DiscoveryOptions {
  /** `--discovery`: the token's URL. */
  readonly url: string
  /** `--discovery-proxy`; '' = none. */
  readonly proxy: string
  /** Own id in hex as etcd prints it; '0' for one that only looks. */
  readonly memberId: string
  readonly log: Log
  /** Replaced in tests. */
  readonly pause?: Pause
}

/** What the token holds now. */
interface Registered {
  /** In the order of registration; may be more than `size`. */
  readonly nodes: readonly KeyNode[]
  readonly size: number
  readonly index: number
  readonly isFull: boolean
}

const problemOf = (error: unknown): KeysError['problem'] | undefined =>
  error instanceof KeysError ? error.problem : undefined

/** Whatever the keys client met, as the reason why this member does not join. */
function discoveryError(error: unknown): DiscoveryError {
  if (error instanceof DiscoveryError) return error
  const reason = error instanceof Error ? error.message : String(error)
  return new DiscoveryError('other', reason, { cause: error })
}

class V2Discovery {
  readonly #client: KeysClient
  readonly #token: string
  readonly #endpoint: string
  readonly #self: string
  readonly #log: Log
  readonly #pauses: RetryPauses

  /** Throws a DiscoveryError when URL or proxy cannot be read. */
  constructor(options: V2DiscoveryOptions) {
    const parsed = parseGoUrl(options.url)
    if (parsed.kind === 'refused') throw new DiscoveryError('other', parsed.reason)
    const { scheme, host, path, query } = parsed.value
    const route = parseProxyRoute(options.proxy)
    if (route.kind === 'refused') throw new DiscoveryError('other', route.reason)
    const { proxyUrl } = route.value
    if (proxyUrl !== undefined) {
      options.log.info('running proxy with discovery', { 'proxy-url': proxyUrl })
    }
    const origin = scheme === '' ? '' : `${scheme}://${host}`
    this.#endpoint = query === '' ? origin : `${origin}?${query}`
    this.#token = scheme === '' && path === '' ? `/${options.url}` : path
    this.#self = options.memberId
    this.#client = new KeysClient({ endpoint: this.#endpoint, route: route.value.route })
    this.#log = options.log
    this.#pauses = new RetryPauses(options.pause)
  }

  async join(config: string): Promise<string> {
    // A full cluster is told from before this member leaves a trace there.
    if ((await this.#look()).isFull) throw fullCluster()
    await this.#register(config)
    return this.#complete(fullCluster)
  }

  /** The same for one that only looks: a full cluster is what it waits for. */
  cluster(): Promise<string> {
    return this.#complete(undefined)
  }

  #path(...parts: readonly string[]): string {
    return joinPath(this.#token, ...parts)
  }

  /** Asks again until the service answers. */
  async #look(): Promise<Registered> {
    for (;;) {
      let path = this.#path(CONFIG, 'size')
      try {
        const size = this.#sizeOf((await this.#client.get(path)).node.value)
        path = this.#token
        const { node, index } = await this.#client.get(path)
        return this.#registered(node, size, index)
      } catch (error) {
        if (problemOf(error)?.kind === 'not-json' && path !== this.#token) throw badEndpoint()
        this.#giveUpUnlessUnavailable(error, 'failed to get from discovery server', { path })
        await this.#pauseFor('cluster status check')
      }
    }
  }

  /**
   * The size is a whole number above 0. With 0 etcd's members end on a nil pointer once they have
   * registered; here they are refused before.
   */
  #sizeOf(text: string): number {
    const size = /^\d+$/.test(text) ? parseInteger(String(BigInt(text)), UINT64) : undefined
    if (size?.kind !== 'value' || size.value === 0) throw badSizeKey()
    return size.value
  }

  #registered(directory: KeyNode, size: number, index: number): Registered {
    const nodes = directory.nodes
      .filter(({ key }) => basename(key) !== CONFIG)
      .sort((left, right) => left.createdIndex - right.createdIndex)
    const ownAt = nodes.findIndex(({ key }) => basename(key) === this.#self)
    return { nodes, size, index, isFull: (ownAt < 0 ? nodes.length : ownAt) >= size }
  }

  #giveUpUnlessUnavailable(
    error: unknown,
    message: string,
    fields: Readonly<Record<string, unknown>>,
  ): void {
    const problem = problemOf(error)
    if (problem?.kind !== 'unavailable' || !(error instanceof Error)) throw error
    this.#log.warn(message, {
      'discovery-url': this.#endpoint,
      ...fields,
      error: error.message,
      'err-detail': problem.detail,
    })
  }

  #pauseFor(reason: string): Promise<void> {
    return this.#pauses.next((backoff) =>
      this.#log.info('retry connecting to discovery service', {
        url: this.#endpoint,
        reason,
        backoff,
      }),
    )
  }

  async #register(config: string): Promise<void> {
    const own = this.#path(this.#self)
    let createdIndex: number
    try {
      createdIndex = (await this.#client.create(own, config)).node.createdIndex
    } catch (error) {
      const problem = problemOf(error)
      if (problem?.kind === 'refused' && problem.code === NODE_EXIST) throw duplicateId()
      throw error
    }
    // The member of the service that answers next may be behind the one that took the key.
    await this.#client.wait(own, { waitIndex: createdIndex, recursive: false })
  }

  /** The cluster, once `size` members are there; `refuse` is for when others were first. */
  async #complete(refuse: (() => DiscoveryError) | undefined): Promise<string> {
    for (;;) {
      const registered = await this.#look()
      const { nodes, size, isFull } = registered
      if (isFull && refuse !== undefined) throw refuse()
      try {
        return this.#clusterOf(isFull ? nodes.slice(0, size) : await this.#gather(registered), size)
      } catch (error) {
        this.#giveUpUnlessUnavailable(error, 'error while waiting for peers', {})
        await this.#pauseFor('waiting for other nodes')
      }
    }
  }

  async #gather({ nodes, size, index }: Registered): Promise<readonly KeyNode[]> {
    const all = nodes.slice(0, size)
    for (const node of all) this.#announce(basename(node.key))
    let waitIndex = index + 1
    while (all.length < size) {
      this.#log.info('found peers from discovery server; waiting for more', {
        'discovery-url': this.#endpoint,
        'found-peers': all.length,
        'needed-peers': size - all.length,
      })
      const { action, node } = await this.#client.wait(this.#token, { waitIndex, recursive: true })
      waitIndex = node.modifiedIndex + 1
      if (!CREATIONS.includes(action) || !this.#isNewMember(node, all)) continue
      this.#announce(basename(node.key))
      all.push(node)
    }
    this.#log.info('found all needed peers from discovery server', {
      'discovery-url': this.#endpoint,
      'found-peers': all.length,
    })
    return all
  }

  /** Changes of the configuration, or of a member that is known, are not members. */
  #isNewMember({ key }: KeyNode, known: readonly KeyNode[]): boolean {
    const parts = key.split('/')
    return !parts.includes(CONFIG) && !known.some((node) => node.key === key)
  }

  #announce(name: string): void {
    const isSelf = name === this.#self
    this.#log.info(`found ${isSelf ? 'self' : 'peer'} from discovery server`, {
      'discovery-url': this.#endpoint,
      [isSelf ? 'self' : 'peer']: name,
    })
  }

  #clusterOf(nodes: readonly KeyNode[], size: number): string {
    const text = nodes.map(({ value }) => value).join(',')
    const parsed = parseUrlsByName(text)
    if (parsed.kind === 'refused') throw invalidUrl()
    if (parsed.value.size !== size) throw duplicateName()
    return text
  }
}

/**
 * Registers this member under the token and waits for the others: for ever, while the service
 * cannot be reached. Returns the text of `--initial-cluster`. Rejects with a DiscoveryError.
 */
export async function joinByV2Discovery(
  options: V2DiscoveryOptions & Readonly<{ config: string }>,
): Promise<string> {
  try {
    return await new V2Discovery(options).join(options.config)
  } catch (error) {
    throw discoveryError(error)
  }
}

/**
 * The cluster of the token as the text of `--initial-cluster`, without joining it; waits until it
 * is complete. Rejects with a DiscoveryError.
 */
export async function clusterByV2Discovery(
  options: Omit<V2DiscoveryOptions, 'memberId'>,
): Promise<string> {
  try {
    return await new V2Discovery({ ...options, memberId: '0' }).cluster()
  } catch (error) {
    throw discoveryError(error)
  }
}
