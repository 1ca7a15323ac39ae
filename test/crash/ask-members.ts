import type { Cluster } from '../interop/support/cluster.js'
import type { MemberProcess } from '../interop/support/member-process.js'
import { pause } from '../interop/support/until.js'
import { V3Client } from '../interop/support/v3-client.js'
import { describeEvent } from './watched-log.js'

/** How long a new watch may take to show its first events, in milliseconds. */
const SHOWN_WITHIN_MS = 2000

/** All keys, so that a write by somebody else is seen too. */
const ALL = { key: '\0', range_end: '\0' } as const

/**
 * What each member has of a revision that a watcher did not get: by a read of its store, by a new watch from there on,
 * and by the hashes at it and before it. So a row that is missing is told from one that was not sent.
 */
export async function askMembers(cluster: Cluster, revision: number): Promise<string> {
  const lines = await Promise.all(
    cluster.members.map(async (member) => {
      const client = new V3Client(member.clientUrl)
      try {
        const answers = await Promise.all([
          readAt(client, revision),
          watchFrom(client, revision),
          hashAt(cluster, member, revision - 1),
          hashAt(cluster, member, revision),
        ])
        return `${member.name} ${member.clientUrl}: ${answers.join('; ')}`
      } finally {
        client.close()
      }
    }),
  )
  return [`revision ${revision}:`, ...lines].join('\n')
}

async function readAt(client: V3Client, revision: number): Promise<string> {
  try {
    const { header, kvs } = await client.range({ ...ALL, revision, serializable: true })
    const row = kvs.find(({ mod_revision }) => Number(mod_revision) === revision)
    const shown = row === undefined ? 'no key of it' : describeEvent({ type: 'PUT', kv: row })
    return `read at ${header.revision}: ${shown}`
  } catch (error) {
    return `read failed: ${String(error)}`
  }
}

async function watchFrom(client: V3Client, revision: number): Promise<string> {
  const seen: string[] = []
  const stream = client.watch(
    { ...ALL, start_revision: revision },
    ({ header, created, events }) => {
      if (created) seen.push(`created at ${header.revision}`)
      const [first] = events
      if (first !== undefined) seen.push(describeEvent(first))
    },
    (reason) => seen.push(`ended: ${reason}`),
  )
  for (let waitedMs = 0; seen.length < 2 && waitedMs < SHOWN_WITHIN_MS; waitedMs += 20)
    await pause(20)
  stream.cancel()
  return `watch ${seen.slice(0, 2).join(', ')}`
}

async function hashAt(cluster: Cluster, member: MemberProcess, revision: number): Promise<string> {
  const { stdout, stderr } = await cluster.tryCtl(
    ['endpoint', 'hashkv', '--rev', String(revision)],
    { at: member },
  )
  return `hash at ${revision}: ${stdout.trim()}${stderr.trim()}`
}
