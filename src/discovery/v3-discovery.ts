/** Bootstrap through the gRPC API of an etcd cluster (facts: ops.md 8.3). */
import { INT64, parseInteger } from '../config/go-value.js'
import { parseUrlsByName } from '../config/initial-cluster.js'
import type { V3DiscoveryConfig } from '../config/server-config.js'
import type { Log, LogFields } from '../ports/log.js'
import type { KeyValue } from '../wire/mvccpb.js'
import {
  badSizeKey,
  DiscoveryError,
  duplicateName,
  fullCluster,
  invalidPeerUrl,
  sizeNotFound,
} from './discovery-error.js'
import { joinPath } from './keys-client.js'
import { type Pause, RetryPauses } from './retry-pauses.js'
import { prefixEnd, rpcErrorText, V3Client } from './v3-client.js'

const REGISTRY = '/_etcd/registry'

export interface V3DiscoveryOptions {
  readonly service: V3DiscoveryConfig
  /** Own id in hex as etcd prints it; '0' for one that only looks. */
  readonly memberId: string
  readonly log: Log
  /** Replaced in tests. */
  readonly pause?: Pause
}

interface Registration {
  readonly key: string
  /** `name=url,...` */
  readonly value: string
  readonly createRevision: number
}

/** Who registered under a token, in that order. */
class Registry {
  readonly size: number
  readonly #members: Registration[] = []
  /** Revision of the service up to which this is known. */
  revision: number

  constructor(size: number, revision: number) {
    this.size = size
    this.revision = revision
  }

  get count(): number {
    return this.#members.length
  }

  get isComplete(): boolean {
    return this.#members.length >= this.size
  }

  /** Returns why this is no member, or `undefined`. */
  add(member: Registration): string | undefined {
    if (!member.value.includes('=')) return 'invalid peer info returned from discovery service'
    if (this.#members.some(({ key }) => key === member.key)) {
      return 'found duplicate peer from discovery service'
    }
    this.#members.push(member)
    this.#members.sort((left, right) => left.createRevision - right.createRevision)
    return undefined
  }

  /** Whether others than the member of this key have taken all places. */
  isFullFor(own: string): boolean {
    const at = this.#members.findIndex(({ key }) => key === own)
    return (at < 0 ? this.#members.length : at) >= this.size
  }

  /** The text of `--initial-cluster`. */
  clusterText(): string {
    const first = this.#members.slice(0, this.size)
    const text = first.map(({ value }) => value).join(',')
    const parsed = parseUrlsByName(text)
    if (parsed.kind === 'refused') throw invalidPeerUrl()
    // etcd does not look, and such members never find each other.
    if (parsed.value.size < first.length) throw duplicateName()
    return text
  }
}

class V3Discovery {
  readonly #client: V3Client
  readonly #log: Log
  readonly #common: LogFields
  readonly #sizeKey: string
  readonly #membersPrefix: string
  readonly #ownKey: string
  readonly #pauses: RetryPauses

  /** Throws when certificates cannot be read. */
  constructor({ service, memberId, log, pause }: V3DiscoveryOptions) {
    this.#client = new V3Client(service, log)
    this.#log = log
    this.#common = {
      'discovery-token': service.token,
      'discovery-endpoints': service.endpoints.join(','),
    }
    const cluster = joinPath(REGISTRY, service.token)
    this.#sizeKey = joinPath(cluster, '_config/size')
    this.#membersPrefix = joinPath(cluster, 'members')
    this.#ownKey = joinPath(this.#membersPrefix, memberId)
    this.#pauses = new RetryPauses(pause)
  }

  async join(config: string): Promise<string> {
    // A full cluster is told from before this member leaves a trace there.
    await this.#look(fullCluster)
    await this.#register(config)
    return this.#whole(await this.#look(fullCluster), fullCluster)
  }

  async cluster(): Promise<string> {
    return this.#whole(await this.#look(undefined), undefined)
  }

  close(): void {
    this.#client.close()
  }

  /** Reads until the service answers; `refuse` makes the error when others have all places. */
  #look(refuse: (() => DiscoveryError) | undefined): Promise<Registry> {
    return this.#persist('cluster status check', async () => {
      const registry = await this.#members(await this.#size())
      if (refuse !== undefined && registry.isFullFor(this.#ownKey)) throw refuse()
      return registry
    })
  }

  async #size(): Promise<number> {
    const clusterSizeKey = this.#sizeKey
    const { keyValues } = await this.#told(
      'failed to get cluster size from discovery service',
      { clusterSizeKey },
      () => this.#client.get(clusterSizeKey),
    )
    const [found] = keyValues
    if (found === undefined) throw sizeNotFound()
    const size = parseDecimal(Buffer.from(found.value).toString('utf8'))
    if (size === undefined || size <= 0) throw badSizeKey()
    return size
  }

  async #members(size: number): Promise<Registry> {
    const membersKeyPrefix = this.#membersPrefix
    const { keyValues, revision } = await this.#told(
      'failed to get cluster members from discovery service',
      { membersKeyPrefix },
      () => this.#client.get(membersKeyPrefix, prefixEnd(membersKeyPrefix)),
    )
    const registry = new Registry(size, revision)
    for (const keyValue of keyValues) this.#add(registry, keyValue)
    return registry
  }

  #add(registry: Registry, keyValue: KeyValue): void {
    const memberKey = Buffer.from(keyValue.key).toString('utf8').trim()
    const memberInfo = Buffer.from(keyValue.value).toString('utf8').trim()
    const { createRevision } = keyValue
    const problem = registry.add({ key: memberKey, value: memberInfo, createRevision })
    const fields = { ...this.#common, memberKey, memberInfo }
    if (problem === undefined) this.#log.info('found peer from discovery service', fields)
    else this.#log.warn(problem, fields)
  }

  async #register(memberInfo: string): Promise<void> {
    const memberKey = this.#ownKey
    await this.#persist('register member itself', () =>
      this.#told('failed to register members itself to the discovery service', { memberKey }, () =>
        this.#client.put(memberKey, memberInfo),
      ),
    )
    this.#log.info('register member itself successfully', {
      ...this.#common,
      memberKey,
      memberInfo,
    })
  }

  /** Waits until the registry is complete; a watch that breaks off begins with a new look. */
  async #whole(first: Registry, refuse: (() => DiscoveryError) | undefined): Promise<string> {
    let registry = first
    while (!registry.isComplete) {
      try {
        await this.#watch(registry)
      } catch (error) {
        const fields = { ...this.#common, error: rpcErrorText(error) }
        this.#log.warn('error while waiting for peers', fields)
        await this.#pauseFor('waiting for other nodes')
        registry = await this.#look(refuse)
      }
    }
    return registry.clusterText()
  }

  async #watch(registry: Registry): Promise<void> {
    const counts = () => ({ clusterSize: registry.size, 'found-peers': registry.count })
    this.#log.info('waiting for peers from discovery service', { ...this.#common, ...counts() })
    const range = {
      key: this.#membersPrefix,
      rangeEnd: prefixEnd(this.#membersPrefix),
      fromRevision: registry.revision + 1,
    }
    for await (const keyValues of this.#client.puts(range)) {
      for (const keyValue of keyValues) this.#add(registry, keyValue)
      if (registry.isComplete) break
    }
    this.#log.info('found all needed peers from discovery service', {
      ...this.#common,
      ...counts(),
    })
  }

  /** Warns of a failed call with the error's text. */
  async #told<Result>(
    message: string,
    fields: LogFields,
    call: () => Promise<Result>,
  ): Promise<Result> {
    try {
      return await call()
    } catch (error) {
      this.#log.warn(message, { ...this.#common, ...fields, error: rpcErrorText(error) })
      throw error
    }
  }

  /** Does it again, with pauses, until it succeeds or discovery itself says no. */
  async #persist<Result>(reason: string, attempt: () => Promise<Result>): Promise<Result> {
    for (;;) {
      try {
        const result = await attempt()
        this.#pauses.reset()
        return result
      } catch (error) {
        if (error instanceof DiscoveryError) throw error
        await this.#pauseFor(reason)
      }
    }
  }

  #pauseFor(reason: string): Promise<void> {
    return this.#pauses.next((backoff) =>
      this.#log.warn('retry connecting to discovery service', { ...this.#common, reason, backoff }),
    )
  }
}

/** A decimal of Go's ParseInt; `undefined` for anything else. */
function parseDecimal(text: string): number | undefined {
  if (!/^[+-]?\d+$/.test(text)) return undefined
  const parsed = parseInteger(String(BigInt(text)), INT64)
  return parsed.kind === 'value' ? parsed.value : undefined
}

async function discover(
  options: V3DiscoveryOptions,
  outcomes: Readonly<{ done: string; failed: string }>,
  run: (discovery: V3Discovery) => Promise<string>,
): Promise<string> {
  const { service, log } = options
  const common = {
    'discovery-token': service.token,
    'discovery-endpoints': service.endpoints.join(','),
  }
  let discovery: V3Discovery | undefined
  try {
    discovery = new V3Discovery(options)
    const cluster = await run(discovery)
    log.info(outcomes.done, { ...common, cluster })
    return cluster
  } catch (error) {
    const failure =
      error instanceof DiscoveryError
        ? error
        : new DiscoveryError('other', rpcErrorText(error), { cause: error })
    if (discovery !== undefined) {
      log.error(outcomes.failed, { ...common, cluster: '', error: failure.reason })
    }
    throw failure
  } finally {
    discovery?.close()
  }
}

/**
 * Registers this member under the token and waits for the others: for ever, while the service
 * cannot be reached. Returns the text of `--initial-cluster`. Rejects with a DiscoveryError.
 */
export function joinByV3Discovery(
  options: V3DiscoveryOptions & Readonly<{ config: string }>,
): Promise<string> {
  const done = 'discovery joined cluster successfully'
  const failed = 'discovery failed to join cluster'
  return discover(options, { done, failed }, (discovery) => discovery.join(options.config))
}

/**
 * The cluster of the token as the text of `--initial-cluster`, without joining it; waits until it
 * is complete. Rejects with a DiscoveryError.
 */
export function clusterByV3Discovery(
  options: Omit<V3DiscoveryOptions, 'memberId'>,
): Promise<string> {
  const done = 'discovery got cluster successfully'
  const failed = 'discovery failed to get cluster'
  return discover({ ...options, memberId: '0' }, { done, failed }, (discovery) =>
    discovery.cluster(),
  )
}
