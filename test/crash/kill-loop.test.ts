// Goal: nothing that was acknowledged is lost, and every watcher sees every event once, whatever is killed. Method:
// rounds (CRASH_ROUNDS, 30 unless told) on three members: writers and watchers run through all of them while one is
// killed with SIGKILL and started again, or, every fifth round, removed, wiped and added again. CRASH_SEED repeats
// the choice of members.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Cluster } from '../interop/support/cluster.js'
import type { MemberProcess } from '../interop/support/member-process.js'
import { describeWith } from '../interop/support/requirements.js'
import { pause, until } from '../interop/support/until.js'
import { prefixEnd, V3Client } from '../interop/support/v3-client.js'
import { History } from './history.js'
import { createRandom, pick } from './random.js'
import { ResumingWatcher } from './resuming-watcher.js'
import { Writer } from './writer.js'

const ROUNDS = Number(process.env.CRASH_ROUNDS ?? 30)
const SEED = Number(process.env.CRASH_SEED ?? Date.now() % 1_000_000)
const WRITERS = 8
const KEYS_PER_WRITER = 20
/** How long writes go on with a member down, and after it is back, in milliseconds. */
const DOWN_MS = 600
const UP_MS = 400
const WIPE_EVERY_ROUNDS = 5
const PREFIX = 'crash/'

async function killAndRestart(cluster: Cluster, member: MemberProcess): Promise<void> {
  await member.kill()
  await pause(DOWN_MS)
  member.start()
  await cluster.healthy(60_000)
}

/** The member comes back with an empty directory and a new id, as after a lost disk. */
async function wipeAndReAdd(cluster: Cluster, member: MemberProcess): Promise<void> {
  const id = await cluster.idOf(member)
  await member.kill()
  await cluster.strike(id)
  member.wipe()
  const { peerUrl } = member.options
  await cluster.announce(member.name, peerUrl)
  await pause(DOWN_MS)
  member.start(cluster.joinFlags())
  await cluster.healthy(60_000)
}

describeWith(['daemon', 'etcdctl'], `members killed in a loop (CRASH_SEED=${SEED})`, () => {
  let cluster: Cluster
  const history = new History()
  const writers: Writer[] = []
  const watchers: ResumingWatcher[] = []

  beforeAll(async () => {
    cluster = await Cluster.start({ name: 'crash', kinds: ['ours', 'ours', 'ours'] })
    const urls = cluster.members.map(({ clientUrl }) => clientUrl)
    for (const [at] of urls.entries()) {
      const rotated = [...urls.slice(at), ...urls.slice(0, at)]
      watchers.push(new ResumingWatcher({ urls: rotated, prefix: PREFIX, startRevision: 2 }))
    }
    for (let id = 0; id < WRITERS; id += 1) {
      const keys = Array.from({ length: KEYS_PER_WRITER }, (_, key) => `${PREFIX}${id}/${key}`)
      writers.push(new Writer({ id, urls, keys, history }))
    }
    for (const writer of writers) writer.start()
  })
  afterAll(async () => {
    await Promise.all(writers.map((writer) => writer.stop()))
    for (const watcher of watchers) watcher.close()
    await cluster?.destroy()
  })

  test(`${ROUNDS} rounds`, async () => {
    const random = createRandom(SEED)
    for (let round = 1; round <= ROUNDS; round += 1) {
      const member = pick(random, cluster.members)
      const before = history.acknowledgedCount
      try {
        if (round % WIPE_EVERY_ROUNDS === 0) await wipeAndReAdd(cluster, member)
        else await killAndRestart(cluster, member)
        await pause(UP_MS)
        await until('writes go on', () => history.acknowledgedCount > before)
      } catch (error) {
        throw new Error(`round ${round}, ${member.name}: ${String(error)}\n${cluster.logs()}`)
      }
    }
    await Promise.all(writers.map((writer) => writer.stop()))
  })

  test('every acknowledged write is there, or a later one of the same key', async () => {
    expect(history.acknowledgedCount).toBeGreaterThan(ROUNDS)
    for (const { clientUrl } of cluster.members) {
      const client = new V3Client(clientUrl)
      try {
        const { kvs } = await client.range({ key: PREFIX, range_end: prefixEnd(PREFIX) })
        expect(history.contradictions(kvs)).toEqual([])
      } finally {
        client.close()
      }
    }
  })

  test('HashKV is equal on all members', async () => {
    expect((await cluster.hashes()).size).toBe(1)
  })

  test('each watcher saw every event once, in order', async () => {
    const [first] = cluster.members
    const client = new V3Client(first?.clientUrl ?? '')
    const { header, kvs } = await client.range({ key: PREFIX, range_end: prefixEnd(PREFIX) })
    client.close()
    const last = Math.max(...kvs.map(({ mod_revision }) => Number(mod_revision)))
    expect(Number(header.revision)).toBeGreaterThanOrEqual(last)
    for (const watcher of watchers) {
      await until('the last event', () => watcher.lastRevision >= last)
      expect(watcher.disorder).toEqual([])
    }
    const [model] = watchers
    for (const watcher of watchers) expect(watcher.events).toEqual(model?.events)
    expect(history.unseen(new Set(model?.events))).toEqual([])
  })
})
