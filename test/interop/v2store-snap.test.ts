// Goal: our v2 tree and membership give the bytes that a real etcd put into its snapshot.
// Method: a real etcd 3.4 serves v2 requests and snapshots; its WAL is replayed into our state machines.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { bootstrapEntries } from '../../src/membership/bootstrap.js'
import { Membership } from '../../src/membership/membership.js'
import { V2Store } from '../../src/v2store/store.js'
import { SnapshotFile, WalRecord } from '../../src/wire/disk-messages.js'
import { Entry, Snapshot } from '../../src/wire/raftpb.js'
import { firstDifference, makeReads, replay, savedText } from '../v2store/replay.js'
import { freePort } from './support/ports.js'

const BINARY = '/usr/bin/etcd'
const hasBinary = existsSync(BINARY)
const root = join(import.meta.dirname, '../../.tmp')
const golden = join(import.meta.dirname, '../golden/v2store')

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

async function waitFor<T>(probe: () => Promise<T | undefined> | T | undefined): Promise<T> {
  for (let attempt = 0; attempt < 150; attempt++) {
    const found = await probe()
    if (found !== undefined) return found
    await pause(100)
  }
  throw new Error('waited 15 s in vain')
}

/** The entries of the only segment of a young WAL. */
function readEntries(folder: string): readonly Entry[] {
  const name = readdirSync(folder).find((file) => file.endsWith('.wal'))
  const file = readFileSync(join(folder, name ?? ''))
  const entries: Entry[] = []
  for (let at = 0; at + 8 <= file.length; ) {
    const padding = file.readUInt8(at + 7) & 0x7
    const size = file.readUIntLE(at, 6)
    if (size === 0) break
    const record = WalRecord.decode(new Uint8Array(file.subarray(at + 8, at + 8 + size)))
    if (record.type === 2) entries.push(Entry.decode(record.data ?? new Uint8Array(0)))
    at += 8 + size + padding
  }
  return entries
}

function readSnapshot(path: string): { readonly index: number; readonly json: string } {
  const file = SnapshotFile.decode(readFileSync(path))
  const snapshot = Snapshot.decode(file.data ?? new Uint8Array(0))
  return { index: snapshot.metadata.index, json: new TextDecoder().decode(snapshot.data) }
}

async function withEtcd(
  folder: string,
  work: (url: string, peerUrl: string) => Promise<void>,
): Promise<void> {
  const url = `http://127.0.0.1:${await freePort()}`
  const peerUrl = `http://127.0.0.1:${await freePort()}`
  const child: ChildProcess = spawn(
    BINARY,
    [
      ...['--name', 'n1', '--data-dir', folder, '--enable-v2=true', '--snapshot-count', '10'],
      ...['--listen-client-urls', url, '--advertise-client-urls', url],
      ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
      ...['--initial-cluster', `n1=${peerUrl}`],
    ],
    { stdio: 'ignore', env: { ...process.env, TZ: 'UTC' } },
  )
  const ended = new Promise((resolve) => child.once('exit', resolve))
  try {
    await waitFor(async () => {
      const health = await fetch(`${url}/health`).catch(() => undefined)
      return health?.status === 200 ? true : undefined
    })
    await work(url, peerUrl)
  } finally {
    child.kill('SIGTERM')
    await ended
  }
}

type Step = readonly [method: string, path: string, form?: Readonly<Record<string, string>>]

/** A history that touches every kind of change, with values that JSON must escape. */
const STEPS: readonly Step[] = [
  ['PUT', '/foo', { value: 'a<b>&"c\\' }],
  ['PUT', '/foo', { value: 'two', ttl: '100' }],
  ['PUT', '/foo', { refresh: 'true', ttl: '200', prevExist: 'true' }],
  ['PUT', '/short', { value: 'x', ttl: '1' }],
  ['POST', '/q', { value: '\u2028\u0001\t\n\r\b\f\u007f é \u{1f600}' }],
  ['PUT', '/dir/sub', { dir: 'true' }],
  ['PUT', '/dir/_hidden', { value: 'h' }],
  ['PUT', '/dir', { prevExist: 'true', ttl: '300' }],
  ['PUT', '/dir', { value: 'refused' }],
  ['PUT', '/new', { value: 'n', prevExist: 'false' }],
  ['PUT', '/new', { value: 'n', prevExist: 'false' }],
  ['PUT', '/new', { value: 'm', prevValue: 'n' }],
  ['PUT', '/new', { value: 'm', prevValue: 'zz' }],
  ['DELETE', '/new?prevIndex=3'],
  ['DELETE', '/foo?prevValue=two'],
  ['DELETE', '/dir'],
  ['DELETE', '/dir?recursive=true'],
  ['PUT', '/new/below-a-file', { value: 'x' }],
  ['PUT', '/z', { value: '' }],
]
const TTLS = [100, 200, 1, 300]
const RECORDINGS_MAX = 8

async function run(url: string): Promise<void> {
  for (const [method, path, form] of STEPS) {
    const body = form === undefined ? null : new URLSearchParams(form)
    await (await fetch(`${url}/v2/keys${path}`, { method, body })).text()
  }
  await waitFor(async () => {
    const answer = await fetch(`${url}/v2/keys/short`)
    return answer.status === 404 ? true : undefined
  })
  for (let at = 0; at < 12; at++) {
    const body = new URLSearchParams({ value: String(at) })
    await (await fetch(`${url}/v2/keys/fill/${at % 5}`, { method: 'PUT', body })).text()
  }
}

/** Seconds left are those of the moment in which an entry was applied, which no log tells. */
const withoutTtls = (text: string): string => text.replace(/,"ttl":-?\d+/g, '')

interface Recorded {
  readonly entries: readonly Entry[]
  /** Names of the snapshot files. */
  readonly names: readonly string[]
  /** Where a snapshot and ours part in the seconds left of a key. */
  readonly differences: readonly string[]
}

/** Records a history in this folder, which is made, and compares its snapshots with ours. */
async function record(folder: string): Promise<Recorded> {
  mkdirSync(folder, { recursive: true })
  let peer = ''
  await withEtcd(folder, async (url, peerUrl) => {
    peer = peerUrl
    await run(url)
    await pause(500)
  })
  const entries = readEntries(join(folder, 'member/wal'))
  const initial = Membership.fromInitialCluster({
    urlsByName: new Map([['n1', [peer]]]),
    token: 'etcd-cluster',
  })
  if (initial.kind !== 'membership') throw new Error(initial.reason)
  expect(bootstrapEntries(initial.membership.members())).toEqual(entries.slice(0, 1))

  const names = readdirSync(join(folder, 'member/snap')).filter((name) => /\.snap$/.test(name))
  expect(names.length).toBeGreaterThan(1)
  const differences: string[] = []
  for (const name of names) {
    const snapshot = readSnapshot(join(folder, 'member/snap', name))
    const part = entries.filter((entry) => entry.index <= snapshot.index)
    const { store, membership } = replay(part, TTLS)
    makeReads(store, snapshot.json)
    const saved = savedText(store)
    expect(firstDifference(withoutTtls(saved), withoutTtls(snapshot.json))).toBeUndefined()
    const difference = firstDifference(saved, snapshot.json)
    if (difference !== undefined) differences.push(difference)
    expect(membership.memberByName('n1')?.peerUrls).toEqual([peer])
    const recovered = new V2Store()
    expect(recovered.recover(new TextEncoder().encode(snapshot.json)).kind).toBe('recovered')
    expect(firstDifference(savedText(recovered), snapshot.json)).toBeUndefined()
  }
  return { entries, names, differences }
}

if (!hasBinary) console.warn(`skipped: ${BINARY} is missing, so there is nothing to compare with`)

describe.skipIf(!hasBinary)('beside a real etcd', () => {
  test('the log replayed gives the bytes of its snapshots', async () => {
    const folder = join(root, `v2store-snap-${process.pid}`)
    try {
      let recorded = await record(folder)
      // The replay takes it that all went within a second: where it did not, another try does.
      for (let again = 1; recorded.differences.length > 0 && again < RECORDINGS_MAX; again++) {
        rmSync(folder, { recursive: true })
        recorded = await record(folder)
      }
      const { entries, names, differences } = recorded
      expect(differences).toEqual([])
      if (process.env.UPDATE_GOLDEN === '1') {
        const last = readSnapshot(join(folder, 'member/snap', [...names].sort().at(-1) ?? ''))
        const part = entries.filter((entry) => entry.index <= last.index)
        const lines = part.map((entry) => Buffer.from(Entry.encode(entry)).toString('base64'))
        mkdirSync(golden, { recursive: true })
        writeFileSync(join(golden, 'etcd-3.4-entries.txt'), `${lines.join('\n')}\n`)
        writeFileSync(join(golden, 'etcd-3.4-snapshot.json'), last.json)
      }
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
