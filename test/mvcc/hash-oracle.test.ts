// Goal: HashKV equals etcd's. Method: one history done to the daemon of the machine, through its JSON gateway, and to
// our store; the answers recorded in test/golden/mvcc are checked without it.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { Client, credentials } from '@grpc/grpc-js'
import { expect, test } from 'vitest'
import { revision } from '../../src/base/ids.js'
import { HashKVRequest, HashKVResponse } from '../../src/wire/rpc.js'
import {
  bytes,
  compacted,
  hashKvOf,
  NO_LEASE,
  openFixture,
  put,
  remove,
} from '../backend/store-fixture.js'

const ETCD = '/usr/bin/etcd'
const GOLDEN = 'test/golden/mvcc/hashkv-3.4.23.json'

type Step =
  | Readonly<{ kind: 'put'; key: string; value: string }>
  | Readonly<{ kind: 'delete'; key: string; end: string }>
  | Readonly<{
      kind: 'txn'
      puts: readonly (readonly [string, string])[]
      deletes: readonly string[]
    }>
  | Readonly<{ kind: 'compact'; revision: number }>
  | Readonly<{ kind: 'hash'; revision: number }>

interface Answer {
  readonly hash: number
  readonly compactRevision: number
}

/** A little of everything, on few keys so that they meet often. Deterministic. */
function history(): Step[] {
  const steps: Step[] = [{ kind: 'hash', revision: 0 }]
  let seed = 12345
  const below = (bound: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
    return (seed >>> 8) % bound
  }
  let revision = 1
  let compactedAt = -1
  const live = new Set<string>()
  const key = (): string => `k${below(12)}`
  for (let at = 0; at < 400; at++) {
    const dice = below(20)
    if (dice < 9) {
      const name = key()
      live.add(name)
      steps.push({ kind: 'put', key: name, value: `v${at}`.repeat(below(4)) })
      revision++
    } else if (dice < 12) {
      const from = below(12)
      const isRange = below(3) === 0
      const end = isRange ? `k${Math.min(9, from + 2)}` : ''
      const gone = [...live].filter((name) =>
        isRange ? name >= `k${from}` && name < end : name === `k${from}`,
      )
      for (const name of gone) live.delete(name)
      steps.push({ kind: 'delete', key: `k${from}`, end })
      if (gone.length > 0) revision++
    } else if (dice < 15) {
      const puts = [...new Set([key(), key()])].map((name) => [`t${name}`, `t${at}`] as const)
      const deletes = [key(), key()].filter((name, place, all) => all.indexOf(name) === place)
      for (const [name] of puts) live.add(name)
      for (const name of deletes) live.delete(name)
      steps.push({ kind: 'txn', puts, deletes })
      revision++
    } else if (dice < 17 && revision > compactedAt + 5) {
      // Now and then exactly at the newest revision, which may be that of a tombstone.
      compactedAt = revision - (below(2) === 0 ? 0 : below(5))
      steps.push({ kind: 'compact', revision: compactedAt })
      steps.push({ kind: 'hash', revision: 0 })
    } else {
      const at = Math.max(compactedAt + 1, revision - below(6))
      steps.push({ kind: 'hash', revision: below(2) === 0 || at > revision ? 0 : at })
    }
  }
  return steps
}

async function replay(
  steps: readonly Step[],
  keepsTombstoneAtRevision: boolean,
): Promise<Answer[]> {
  const { store, backend } = await openFixture({ keepsTombstoneAtRevision, recentBytesMax: 500 })
  const answers: Answer[] = []
  for (const step of steps) {
    if (step.kind === 'put') put(store, step.key, step.value)
    else if (step.kind === 'delete') remove(store, step.key, step.end)
    else if (step.kind === 'txn') {
      const transaction = store.begin()
      for (const [key, value] of step.puts) transaction.put(bytes(key), bytes(value), NO_LEASE)
      for (const key of step.deletes) transaction.deleteRange(key, '')
      transaction.end()
    } else if (step.kind === 'compact') {
      expect(store.compact(step.revision)).toBeUndefined()
      await compacted(store)
    } else {
      const { hash, compactRevision } = await hashKvOf(store, step.revision)
      answers.push({ hash, compactRevision })
    }
    if (answers.length % 7 === 0) backend.flush(false)
  }
  return answers
}

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })

const base64 = (value: string): string => Buffer.from(value, 'latin1').toString('base64')

async function askEtcd(steps: readonly Step[]): Promise<Answer[]> {
  mkdirSync('.tmp', { recursive: true })
  const directory = mkdtempSync(join('.tmp', 'oracle-'))
  const client = `http://127.0.0.1:${await freePort()}`
  const peer = `http://127.0.0.1:${await freePort()}`
  const grpc = new Client(client.slice('http://'.length), credentials.createInsecure())
  const flags = {
    'data-dir': directory,
    'listen-client-urls': client,
    'advertise-client-urls': client,
    'listen-peer-urls': peer,
    'initial-advertise-peer-urls': peer,
    'initial-cluster': `default=${peer}`,
  }
  const daemon: ChildProcess = spawn(
    ETCD,
    Object.entries(flags).map(([name, value]) => `--${name}=${value}`),
    { stdio: 'ignore' },
  )
  try {
    const call = async (path: string, body: unknown): Promise<Record<string, unknown>> => {
      const response = await fetch(`${client}/v3/${path}`, {
        method: 'POST',
        body: JSON.stringify(body),
      })
      const answer = (await response.json()) as Record<string, unknown>
      if (!response.ok)
        throw new Error(`${path} ${JSON.stringify(body)}: ${JSON.stringify(answer)}`)
      return answer
    }
    for (let tries = 0; ; tries++) {
      const isUp = await call('maintenance/status', {}).then(
        (status) => status.leader !== undefined,
        () => false,
      )
      if (isUp) break
      if (tries > 100) throw new Error('etcd does not start')
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    const answers: Answer[] = []
    for (const step of steps) {
      if (step.kind === 'put') {
        await call('kv/put', { key: base64(step.key), value: base64(step.value) })
      } else if (step.kind === 'delete') {
        await call('kv/deleterange', { key: base64(step.key), range_end: base64(step.end) })
      } else if (step.kind === 'txn') {
        const puts = step.puts.map(([key, value]) => ({
          requestPut: { key: base64(key), value: base64(value) },
        }))
        const deletes = step.deletes.map((key) => ({ requestDeleteRange: { key: base64(key) } }))
        await call('kv/txn', { success: [...puts, ...deletes] })
      } else if (step.kind === 'compact') {
        await call('kv/compaction', { revision: step.revision, physical: true })
      } else {
        answers.push(await askHash(grpc, step.revision))
      }
    }
    return answers
  } finally {
    grpc.close()
    daemon.kill('SIGKILL')
    await new Promise((resolve) => daemon.once('exit', resolve))
    await rm(directory, { recursive: true, force: true })
  }
}

/** The gateway has no HashKV in 3.4. */
function askHash(client: Client, wanted: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      '/etcdserverpb.Maintenance/HashKV',
      (request: Uint8Array) => Buffer.from(request),
      (response: Buffer) => HashKVResponse.decode(response),
      HashKVRequest.encode({ revision: revision(wanted) }),
      (failure, response) => {
        if (failure !== null || response === undefined) reject(failure)
        else resolve({ hash: response.hash, compactRevision: response.compactRevision })
      },
    )
  })
}

async function golden(): Promise<Answer[] | undefined> {
  if (process.env.UPDATE_GOLDEN !== undefined) {
    const answers = await askEtcd(history())
    mkdirSync('test/golden/mvcc', { recursive: true })
    writeFileSync(GOLDEN, `${answers.map((answer) => JSON.stringify(answer)).join('\n')}\n`)
  }
  if (!existsSync(GOLDEN)) return undefined
  const lines = readFileSync(GOLDEN, 'utf8').trim().split('\n')
  return lines.map((line) => JSON.parse(line) as Answer)
}

test.each([
  true,
  false,
])('equals the recorded HashKV of etcd 3.4.23 (tombstone at the compacted revision kept: %s)', async (keeps) => {
  expect(await replay(history(), keeps)).toEqual(await golden())
})

test('equals the HashKV of the etcd on this machine', async (context) => {
  if (!existsSync(ETCD)) {
    context.skip(`${ETCD} is not there`)
    return
  }
  expect(await replay(history(), true)).toEqual(await askEtcd(history()))
})
