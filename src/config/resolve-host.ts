import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ResolveHost } from './initial-cluster.js'
import { splitHostPort } from './server-url.js'

/** As long as etcd tries to resolve the URLs of a new cluster. */
const RESOLVE_DEADLINE_MS = 30_000
const RETRY_INTERVAL_MS = 1000

/** Resolves by DNS, once a second until 30 s have passed; then rejects with the last error. */
export const resolveByDns: ResolveHost = async (hostAndPort) => {
  const split = splitHostPort(hostAndPort)
  if (split.kind === 'refused') throw new Error(split.reason)
  const { host, port } = split.value
  const attemptsMax = RESOLVE_DEADLINE_MS / RETRY_INTERVAL_MS
  for (let attempt = 1; ; attempt += 1) {
    try {
      const { address } = await lookup(host)
      return isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`
    } catch (thrown) {
      if (attempt >= attemptsMax) throw thrown
      await sleep(RETRY_INTERVAL_MS)
    }
  }
}
