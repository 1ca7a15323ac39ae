import { connect, createServer, type Server, type Socket } from 'node:net'
import { networkErrorText } from '../peer/dial.js'
import type { Entropy } from '../ports/clock.js'
import type { Log } from '../ports/log.js'

/** Clients at once; those beyond it are turned away. */
const CONNECTIONS_MAX = 16_384
/** How long a remote may take to accept, ms. */
const DIAL_TIMEOUT_MS = 30_000
/** Without a delay of its own a proxy looks at failed remotes this often, ms. */
const RETRY_DELAY_MS_DEFAULT = 5 * 60 * 1000
/** One time in so many a remote without a weight is picked beside those that have one. */
const UNWEIGHTED_ODDS = 100

/** Where connections can go, as an SRV record tells it. */
export interface TcpRemote {
  readonly host: string
  readonly port: number
  /** Only remotes of the lowest priority that is reachable are used. */
  readonly priority: number
  /** Share among those of one priority; 0 = they take turns. */
  readonly weight: number
}

export interface TcpProxyOptions {
  readonly remotes: readonly TcpRemote[]
  /** Between two looks at the remotes that failed, ms; 0 = five minutes. */
  readonly retryDelayMs: number
  /** As the operator wrote it; for the log. */
  readonly retryDelayText: string
  readonly entropy: Entropy
  readonly log: Log
}

interface Remote extends TcpRemote {
  readonly address: string
  isActive: boolean
}

function dial({ host, port }: TcpRemote): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, allowHalfOpen: true, noDelay: true })
    socket.setTimeout(DIAL_TIMEOUT_MS, () => socket.destroy(new Error('i/o timeout')))
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.setTimeout(0)
      // Until somebody looks after it, a break is told by its close.
      socket.on('error', () => socket.destroy())
      resolve(socket)
    })
  })
}

/** Carries bytes both ways until both ends have ended, or one of them breaks. */
function join(one: Socket, other: Socket): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.on('error', () => to.destroy())
    from.once('close', () => to.destroySoon())
    from.pipe(to)
  }
}

/** A proxy of TCP connections (`etcd gateway`): it knows nothing of what goes through it. */
export class TcpProxy {
  readonly server: Server
  readonly #options: TcpProxyOptions
  readonly #remotes: readonly Remote[]
  readonly #open = new Set<Socket>()
  #turn = 0
  #timer: NodeJS.Timeout | undefined

  constructor(options: TcpProxyOptions) {
    this.#options = options
    this.#remotes = options.remotes.map((remote) => {
      const host = remote.host.includes(':') ? `[${remote.host}]` : remote.host
      return { ...remote, address: `${host}:${remote.port}`, isActive: true }
    })
    this.server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true })
    this.server.maxConnections = CONNECTIONS_MAX
    this.server.on('connection', (socket) => void this.#serve(socket))
  }

  /** Begins to look after the remotes; the server listens where the caller says. */
  start(): void {
    const endpoints = this.#remotes.map(({ address }) => address)
    this.#options.log.info('ready to proxy client requests', { endpoints })
    const everyMs = this.#options.retryDelayMs || RETRY_DELAY_MS_DEFAULT
    this.#timer = setInterval(() => this.#retryFailed(), everyMs)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.server.close()
    for (const socket of this.#open) socket.destroy()
  }

  /** The next remote by priority, weight and turn; undefined = none is active. */
  pick(): TcpRemote | undefined {
    return this.#pick()
  }

  #pick(): Remote | undefined {
    const active = this.#remotes.filter(({ isActive }) => isActive)
    const priority = Math.min(...active.map((remote) => remote.priority))
    const best = active.filter((remote) => remote.priority === priority)
    const weighted = best.filter(({ weight }) => weight > 0)
    const others = best.filter(({ weight }) => weight === 0)
    const { entropy } = this.#options
    const isTurn = others.length > 0 && weighted.length > 0 && entropy.below(UNWEIGHTED_ODDS) === 1
    if (weighted.length === 0 || isTurn) {
      const picked = others[this.#turn % others.length]
      this.#turn += 1
      return picked
    }
    let point = entropy.below(weighted.reduce((sum, { weight }) => sum + weight, 0))
    return weighted.find(({ weight }) => {
      point -= weight
      return point < 0
    })
  }

  async #serve(client: Socket): Promise<void> {
    this.#open.add(client)
    client.once('close', () => this.#open.delete(client))
    client.on('error', () => client.destroy())
    // Each failure takes a remote out, so this ends.
    for (let remote = this.#pick(); remote !== undefined; remote = this.#pick()) {
      try {
        const upstream = await dial(remote)
        if (client.destroyed) upstream.destroy()
        else join(client, upstream)
        return
      } catch (error) {
        this.#deactivate(remote, error)
      }
    }
    client.destroy()
  }

  #deactivate(remote: Remote, error: unknown): void {
    remote.isActive = false
    this.#options.log.warn('deactivated endpoint', {
      address: remote.address,
      interval: this.#options.retryDelayText,
      error: networkErrorText(error instanceof Error ? error : new Error(String(error))),
    })
  }

  #retryFailed(): void {
    for (const remote of this.#remotes) if (!remote.isActive) void this.#retry(remote)
  }

  async #retry(remote: Remote): Promise<void> {
    const { log, retryDelayText } = this.#options
    try {
      const socket = await dial(remote)
      socket.destroy()
      remote.isActive = true
      log.info('activated', { address: remote.address })
    } catch (error) {
      log.warn('failed to activate endpoint (stay inactive for another interval)', {
        address: remote.address,
        interval: retryDelayText,
        error: networkErrorText(error instanceof Error ? error : new Error(String(error))),
      })
    }
  }
}
