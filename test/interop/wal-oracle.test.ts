/**
 * Goal: etcd reads what we write and we read what it writes. Method: the etcd of this machine fills a data directory
 * and opens one of ours; `etcdctl backup` walks one of ours and writes a copy, which we read.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { clusterId, logIndex, memberId, requestId, term } from '../../src/base/ids.js'
import { nodeDisk } from '../../src/platform/disk.js'
import { SnapshotFiles } from '../../src/snapshot/snapshot-files.js'
import { readWal, type WalContents } from '../../src/wal/replay.js'
import { validSnapshots } from '../../src/wal/valid-snapshots.js'
import { Wal } from '../../src/wal/wal.js'
import type { WalError } from '../../src/wal/wal-error.js'
import type { WalWrite } from '../../src/wal/wal-options.js'
import { WalMetadata, WalSnapshot } from '../../src/wire/disk-messages.js'
import { InternalRaftRequest, RequestHeader } from '../../src/wire/raft-request.js'
import { ConfChange, type ConfState, Entry, HardState, Snapshot } from '../../src/wire/raftpb.js'
import { WireError } from '../../src/wire/reader.js'
import { PutRequest } from '../../src/wire/rpc.js'
import { freePort } from './support/ports.js'

const ETCD = '/usr/bin/etcd'
const ETCDCTL = '/usr/bin/etcdctl'
const isPresent = existsSync(ETCD) && existsSync(ETCDCTL)
if (!isPresent) console.warn(`skipped: ${ETCD} and ${ETCDCTL} are not installed`)

const BEGINNING = { index: logIndex(0), term: term(0) }
const ID = memberId(0x8e9e05c52164694dn)
const CLUSTER = clusterId(0xcdf818194e3a8c32n)

/** A real etcd on a data directory, until `stop`. */
class RealEtcd {
  readonly clientUrl: string
  readonly #process: ChildProcess
  log = ''

  constructor(
    dataDirectory: string,
    ports: readonly [number, number],
    more: readonly string[] = [],
  ) {
    const [client, peer] = ports.map((port) => `http://127.0.0.1:${port}`) as [string, string]
    this.clientUrl = client
    this.#process = spawn(
      ETCD,
      [
        ...['--name', 'one', '--data-dir', dataDirectory, '--logger', 'zap'],
        ...['--listen-client-urls', client, '--advertise-client-urls', client],
        ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
        ...['--initial-cluster', `one=${peer}`, ...more],
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    )
    this.#process.stderr?.on('data', (chunk: Buffer) => {
      this.log += chunk.toString()
    })
  }

  async ready(): Promise<void> {
    for (let tries = 0; !this.log.includes('serving client traffic'); tries++) {
      if (tries > 200 || this.#process.exitCode !== null) throw new Error(this.log)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }

  stop(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#process.exitCode !== null) resolve()
      this.#process.once('exit', () => resolve())
      this.#process.kill('SIGTERM')
    })
  }
}

const ctl = (url: string, ...args: string[]): string =>
  execFileSync(ETCDCTL, ['--endpoints', url, ...args], {
    env: { ...process.env, ETCDCTL_API: '3' },
    encoding: 'utf8',
  })

const saved = (wal: Wal, write: WalWrite): Promise<void> =>
  new Promise((resolve, reject) => {
    wal.save(write, (error) => (error === undefined ? resolve() : reject(error)))
  })
const closed = (wal: Wal): Promise<WalError | undefined> =>
  new Promise((resolve) => wal.close(resolve))

describe.skipIf(!isPresent)('etcd on this machine', () => {
  let root: string
  let data: string
  let wal: string
  let snap: string

  beforeEach(() => {
    mkdirSync('.tmp', { recursive: true })
    root = mkdtempSync(join('.tmp', 'wal-oracle-'))
    data = join(root, 'data')
    wal = join(data, 'member/wal')
    snap = join(data, 'member/snap')
  })
  afterEach(() => {
    rmSync(root, { recursive: true, force: true })
  })

  const putKeys = (contents: WalContents): string[] =>
    contents.entries
      .filter(({ type, data: bytes }) => type === 'EntryNormal' && bytes.length > 0)
      .map(({ data: bytes }) => putKey(bytes))
      .filter((key) => key !== undefined)
      .map((key) => new TextDecoder().decode(key))

  test('its log and snapshots are read; ours goes on where it stopped; it goes on where we stopped', async () => {
    const ports = [await freePort(), await freePort()] as const
    const first = new RealEtcd(data, ports, ['--snapshot-count', '5'])
    await first.ready()
    for (let at = 0; at < 20; at++) ctl(first.clientUrl, 'put', `k${at}`, 'v'.repeat(at * 50))
    expect(() => Wal.open({ disk: nodeDisk, directory: wal, from: BEGINNING })).toThrow(
      'fileutil: file already locked',
    )
    await first.stop()

    const whole = readWal({ disk: nodeDisk, directory: wal, from: BEGINNING })
    expect(putKeys(whole)).toEqual(Array.from({ length: 20 }, (_, at) => `k${at}`))
    expect(whole).toMatchObject({ isSnapshotFound: true, isTorn: false })
    const snapshots = validSnapshots({ disk: nodeDisk, directory: wal })
    expect(snapshots.length).toBeGreaterThan(2)
    const files = new SnapshotFiles({ disk: nodeDisk, directory: snap })
    const newest = files.loadNewest(snapshots)
    expect(newest?.metadata.index).toBe(snapshots.at(-1)?.index)
    expect(JSON.parse(new TextDecoder().decode(newest?.data))).toMatchObject({
      Root: { Path: '/' },
    })

    const from = {
      index: logIndex(newest?.metadata.index ?? 0),
      term: term(newest?.metadata.term ?? 0),
    }
    const opened = Wal.open({ disk: nodeDisk, directory: wal, from })
    expect(opened.entries).toEqual(whole.entries.filter(({ index }) => index > from.index))
    const last = opened.entries.at(-1) ?? Entry.create()
    const noop = Entry.create({ term: last.term, index: logIndex(opened.lastIndex + 1) })
    const hardState = HardState.create({ ...opened.hardState, commit: noop.index })
    await saved(opened.wal, { entries: [noop], hardState, mustSync: true })
    await closed(opened.wal)

    const second = new RealEtcd(data, ports)
    await second.ready()
    ctl(second.clientUrl, 'put', 'after', 'x')
    expect(
      ctl(second.clientUrl, 'get', '--prefix', 'k', '--keys-only').match(/k\d+/g)?.length,
    ).toBe(20)
    await second.stop()
    const again = readWal({ disk: nodeDisk, directory: wal, from })
    expect(putKeys(again).at(-1)).toBe('after')
  })

  /** A directory as a single member would have it: membership, then requests, cut into several segments. */
  async function writeOurs(): Promise<{ ports: readonly [number, number]; lastIndex: number }> {
    const ports = [await freePort(), await freePort()] as const
    const metadata = WalMetadata.encode({ NodeID: ID, ClusterID: CLUSTER })
    const files = new SnapshotFiles({ disk: nodeDisk, directory: snap })
    files.prepare()
    const log = Wal.create({ disk: nodeDisk, directory: wal, metadata, segmentBytes: 4096 })
    const member = { id: Number(ID), peerURLs: [`http://127.0.0.1:${ports[1]}`], name: 'one' }
    const context = JSON.stringify(member).replace(/"id":\d+/, `"id":${ID}`)
    const change = ConfChange.encode({
      type: 'ConfChangeAddNode',
      nodeId: ID,
      context: new TextEncoder().encode(context),
    })
    const entryAt = (index: number): Entry =>
      index === 1
        ? Entry.create({ type: 'EntryConfChange', term: term(1), index: logIndex(1), data: change })
        : Entry.create({
            term: term(1),
            index: logIndex(index),
            data: InternalRaftRequest.encode({
              header: RequestHeader.create({ ID: requestId(BigInt(index)) }),
              put: PutRequest.create({
                key: new TextEncoder().encode(`ours${index}`),
                value: new Uint8Array(200),
              }),
            }),
          })
    for (let index = 1; index <= 60; index++) {
      const hardState = HardState.create({ term: term(1), vote: ID, commit: logIndex(index) })
      await saved(log, { entries: [entryAt(index)], hardState, mustSync: true })
    }
    const confState: ConfState = {
      voters: [ID],
      learners: [],
      votersOutgoing: [],
      learnersNext: [],
      autoLeave: false,
    }
    const position = { index: logIndex(40), term: term(1) }
    const store = new TextEncoder().encode(v2Store(ID, ports[1]))
    const snapshot = Snapshot.create({ data: store, metadata: { ...position, confState } })
    await new Promise<void>((resolve, reject) =>
      files.save(snapshot, (error) => (error === undefined ? resolve() : reject(error))),
    )
    await new Promise<void>((resolve, reject) =>
      log.saveSnapshot(WalSnapshot.create({ ...position, confState }), (error) =>
        error === undefined ? resolve() : reject(error),
      ),
    )
    await closed(log)
    expect(readdirSync(wal).length).toBeGreaterThan(3)
    return { ports, lastIndex: 60 }
  }

  test('etcdctl backup walks a log and a snapshot of ours, and we read its copy', async () => {
    await writeOurs()
    const backup = join(root, 'backup')
    execFileSync(ETCDCTL, ['backup', '--data-dir', data, '--backup-dir', backup], {
      env: { ...process.env, ETCDCTL_API: '2' },
      stdio: 'pipe',
    })
    const directory = join(backup, 'member/wal')
    const copied = new SnapshotFiles({ disk: nodeDisk, directory: join(backup, 'member/snap') })
    const snapshot = copied.loadNewest(undefined)
    expect(snapshot?.metadata).toMatchObject({ index: 40, term: 1 })
    const from = { index: logIndex(40), term: term(1) }
    const contents = readWal({ disk: nodeDisk, directory, from })
    expect(contents.isSnapshotFound).toBe(true)
    // Requests of the v3 API are dropped from a backup, and those behind move down.
    expect(contents.hardState).toMatchObject({ term: 1, commit: 40 })
    expect(contents.entries).toEqual([])
  })

  test('with the requests of the v3 API kept, the copy has our entries', async () => {
    await writeOurs()
    const backup = join(root, 'backup')
    const database = join(snap, 'db')
    const ports = [await freePort(), await freePort()] as const
    const other = new RealEtcd(join(root, 'other'), ports)
    await other.ready()
    await other.stop()
    execFileSync('cp', [join(root, 'other/member/snap/db'), database])
    execFileSync(ETCDCTL, ['backup', '--with-v3', '--data-dir', data, '--backup-dir', backup], {
      env: { ...process.env, ETCDCTL_API: '2' },
      stdio: 'pipe',
    })
    const ours = readWal({
      disk: nodeDisk,
      directory: wal,
      from: { index: logIndex(40), term: term(1) },
    })
    const theirs = readWal({
      disk: nodeDisk,
      directory: join(backup, 'member/wal'),
      from: { index: logIndex(40), term: term(1) },
    })
    expect(ours.entries.length).toBe(20)
    expect(theirs.entries).toEqual(ours.entries)
  })
})

/** The key that an entry puts; undefined for other requests, those of the v2 API included. */
function putKey(bytes: Uint8Array): Uint8Array | undefined {
  try {
    return InternalRaftRequest.decode(bytes).put?.key
  } catch (error) {
    if (error instanceof WireError) return undefined
    throw error
  }
}

/** The least that a v2 store's JSON holds for a cluster of one. */
function v2Store(id: bigint, peerPort: number): string {
  const at = '0001-01-01T00:00:00Z'
  const node = (path: string, value: string, children: Record<string, unknown> | null) => ({
    Path: path,
    CreatedIndex: 1,
    ModifiedIndex: 1,
    ExpireTime: at,
    Value: value,
    Children: children,
  })
  const hex = id.toString(16)
  const memberPath = `/0/members/${hex}`
  const attributes = JSON.stringify({ peerURLs: [`http://127.0.0.1:${peerPort}`] })
  const member = node(memberPath, '', {
    raftAttributes: node(`${memberPath}/raftAttributes`, attributes, null),
  })
  const members = node('/0/members', '', { [hex]: member })
  const cluster = node('/0', '', { members })
  const users = node('/1', '', {})
  return JSON.stringify({
    Root: node('/', '', { 0: cluster, 1: users }),
    WatcherHub: {
      EventHistory: {
        Queue: { Events: new Array(1000).fill(null), Size: 0, Front: 0, Back: 0, Capacity: 1000 },
        StartIndex: 0,
        LastIndex: 0,
      },
    },
    CurrentIndex: 1,
    Stats: {},
    CurrentVersion: 2,
  })
}
