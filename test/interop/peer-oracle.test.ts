/**
 * Goal: a real etcd takes our transport for a member's. Method: a cluster of two, one of them the etcd on this
 * machine, the other our transport with a hand-written follower that grants votes and acknowledges appends.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type ClusterId,
  clusterId,
  logIndex,
  type MemberId,
  memberId,
  term,
  ZERO_INDEX,
} from '../../src/base/ids.js'
import { sha1Id } from '../../src/base/sha1.js'
import { fetchMembers, fetchVersion } from '../../src/peer/cluster-discovery.js'
import { getHashKV } from '../../src/peer/leader-calls.js'
import { PEER_TIMINGS } from '../../src/peer/peer-limits.js'
import { Entry, Message } from '../../src/wire/raftpb.js'
import { message, startMember, type TestMember, until as untilWithin } from '../peer/cluster.js'
import { endingOf } from './support/member-process.js'
import { freePort } from './support/ports.js'

const ETCD = '/usr/bin/etcd'
const isPresent = existsSync(ETCD)
if (!isPresent) console.warn(`skipped: ${ETCD} is not installed`)

const TOKEN = 'peer-oracle'
const calls = { dialTimeoutMs: 10_000, timeoutMs: 10_000 }
/** What must come has this long on a busy machine. */
const WAIT_MAX_MS = 20_000
const until = (condition: () => boolean): Promise<void> => untilWithin(condition, WAIT_MAX_MS)

const idOf = (url: string): MemberId => memberId(sha1Id(Buffer.from(url + TOKEN)))

function clusterIdOf(ids: readonly MemberId[]): ClusterId {
  const bytes = Buffer.alloc(ids.length * 8)
  const sorted = [...ids].sort((a, b) => (a < b ? -1 : 1))
  for (const [at, id] of sorted.entries()) bytes.writeBigUInt64BE(id, at * 8)
  return clusterId(sha1Id(bytes))
}

/** Answers as a follower with an endless appetite would; its log is whatever the leader says. */
function answerTo(message: Message): Message | undefined {
  const reply = { to: message.from, from: message.to, term: message.term }
  switch (message.type) {
    case 'MsgVote':
      return Message.create({ ...reply, type: 'MsgVoteResp' })
    case 'MsgPreVote':
      return Message.create({ ...reply, type: 'MsgPreVoteResp' })
    case 'MsgApp': {
      const index = message.entries.at(-1)?.index ?? message.index
      return Message.create({ ...reply, type: 'MsgAppResp', index })
    }
    case 'MsgHeartbeat':
      return Message.create({ ...reply, type: 'MsgHeartbeatResp', context: message.context })
    default:
      return undefined
  }
}

describe.skipIf(!isPresent)('a real etcd as the other member', () => {
  let ours: TestMember
  let etcd: ChildProcess
  let directory: string
  let realId: MemberId
  let realPeerUrl: string
  let realClientUrl: string
  let realLog = ''

  beforeAll(async () => {
    mkdirSync('.tmp', { recursive: true })
    directory = mkdtempSync(join('.tmp', 'peer-oracle-'))
    const [realPort, clientPort, ourPort] = [await freePort(), await freePort(), await freePort()]
    realPeerUrl = `http://127.0.0.1:${realPort}`
    realClientUrl = `http://127.0.0.1:${clientPort}`
    const ourUrl = `http://127.0.0.1:${ourPort}`
    realId = idOf(realPeerUrl)
    const ourId = idOf(ourUrl)
    ours = await startMember(0, {
      port: ourPort,
      id: ourId,
      clusterId: clusterIdOf([realId, ourId]),
      timings: PEER_TIMINGS,
    })
    ours.events.onDeliver = (message) => {
      const answer = answerTo(message)
      if (answer !== undefined) ours.transport.send([answer])
    }
    ours.transport.addPeer(realId, [realPeerUrl])
    etcd = spawn(
      ETCD,
      [
        ...['--name', 'real', '--data-dir', directory, '--logger', 'zap'],
        ...['--initial-cluster', `real=${realPeerUrl},ours=${ourUrl}`],
        ...['--initial-cluster-token', TOKEN, '--initial-cluster-state', 'new'],
        ...['--listen-peer-urls', realPeerUrl, '--initial-advertise-peer-urls', realPeerUrl],
        ...['--listen-client-urls', realClientUrl, '--advertise-client-urls', realClientUrl],
        // This process answers as the other member: it may be kept from that for a moment.
        ...['--heartbeat-interval', '50', '--election-timeout', '3000'],
        ...['--snapshot-count', '100'],
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    )
    const keep = (text: Buffer): void => {
      realLog += text.toString()
    }
    etcd.stdout?.on('data', keep)
    etcd.stderr?.on('data', keep)
  })

  afterAll(async () => {
    etcd.kill('SIGKILL')
    await endingOf(etcd)
    await ours.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  const isSnapshot = (one: Message): boolean => one.type === 'MsgSnap'

  const delivered = (type: Message['type']): Message[] =>
    ours.events.delivered.filter((message) => message.type === type)

  const established = (side: 'reader' | 'writer'): string[] =>
    ours.log.lines
      .filter((line) => line.message === 'established TCP streaming connection with remote peer')
      .flatMap(({ fields }) => String(fields[`stream-${side}-type`] ?? []))
      .filter((name) => name !== '')

  test('attaches to our streams and lets us attach to its', async () => {
    const both = ['stream Message', 'stream MsgApp v2']
    await until(() => established('writer').length >= 2 && established('reader').length >= 2)
    expect([...new Set(established('writer'))].sort()).toEqual(both)
    expect([...new Set(established('reader'))].sort()).toEqual(both)
  })

  test('asks for our vote, becomes leader by it and sends us its log', async () => {
    await until(() => delivered('MsgApp').length > 0)
    const [vote] = delivered('MsgVote')
    expect(vote).toMatchObject({ from: realId, to: idOf(ours.url) })
    expect(vote?.index).toBe(2)
    const [first] = delivered('MsgApp')
    expect(first).toMatchObject({ from: realId, index: 2, logTerm: 1 })
    expect(first?.entries.length).toBeGreaterThan(0)
    await until(() => /became leader/.test(realLog))
  })

  test('commits writes with our acknowledgement, sent as continued entries', async () => {
    const key = Buffer.from('key').toString('base64')
    const body = (value: string): string =>
      JSON.stringify({ key, value: Buffer.from(value).toString('base64') })
    await until(() => realLog.includes('published local member'))
    for (let at = 0; at < 20; at++) {
      const answer = await fetch(`${realClientUrl}/v3/kv/put`, {
        method: 'POST',
        body: body(`v${at}`),
      })
      expect(answer.status).toBe(200)
    }
    const texts = delivered('MsgApp').flatMap(({ entries }) =>
      entries.map(({ data }) => Buffer.from(data).toString('latin1')),
    )
    for (let at = 0; at < 20; at++) expect(texts.some((text) => text.includes(`v${at}`))).toBe(true)
    // Entries follow each other without a gap from the first one on.
    const indexes = new Set(delivered('MsgApp').flatMap((m) => m.entries.map(({ index }) => index)))
    for (let index = 3; index < 3 + indexes.size; index++)
      expect(indexes.has(index as never)).toBe(true)
  })

  test('keeps the streams open beyond the read timeout of both sides', async () => {
    const lost = (): number =>
      ours.log.lines.filter((line) => line.message.startsWith('lost TCP streaming')).length
    const lostBefore = lost()
    const realLostBefore = realLog.match(/lost TCP streaming connection/g)?.length ?? 0
    await new Promise((resolve) => setTimeout(resolve, 6500))
    expect(lost()).toBe(lostBefore)
    expect(realLog.match(/lost TCP streaming connection/g)?.length ?? 0).toBe(realLostBefore)
    expect(ours.transport.activeSinceMs(realId)).toBeGreaterThan(0)
  })

  test('answers our questions about members, versions and hashes', async () => {
    const cluster = await fetchMembers([realPeerUrl], calls)
    expect(cluster?.clusterId).toBe(clusterIdOf([realId, idOf(ours.url)]))
    expect(cluster?.membersJson).toContain(`"id":${realId}`)
    const version = execFileSync(ETCD, ['--version']).toString()
    const versions = await fetchVersion([realPeerUrl], calls)
    expect(version).toContain(`etcd Version: ${versions?.etcdserver}\n`)
    const clusterIdText = cluster?.clusterId.toString(16) ?? ''
    const hash = await getHashKV([realPeerUrl], 0, { ...calls, clusterIdText })
    expect(hash.hash).toBeGreaterThan(0)
    expect(hash.revision).toBeGreaterThan(20)
    const future = getHashKV([realPeerUrl], 1_000_000, { ...calls, clusterIdText })
    await expect(future).rejects.toMatchObject({ code: 'FUTURE_REVISION' })
  })

  test('sends its database when we have lost what its log no longer holds', async () => {
    // 3.4 keeps 5,000 entries behind each snapshot, and here makes one every 100.
    const body = JSON.stringify({ key: 'a2V5', value: 'dmFsdWU=' })
    const put = async (count: number): Promise<void> => {
      for (let at = 0; at < count; at++) {
        const answer = await fetch(`${realClientUrl}/v3/kv/put`, { method: 'POST', body })
        await answer.arrayBuffer()
      }
    }
    await Promise.all(Array.from({ length: 64 }, () => put(90)))
    const bytes: Uint8Array[] = []
    ours.events.onSnapshot = async (_, chunks) => {
      for await (const chunk of chunks) bytes.push(chunk)
    }
    // A higher term makes it forget how far we were; from then on we claim to have nothing.
    const highest = Math.max(...ours.events.delivered.map((one) => one.term))
    ours.events.onDeliver = (message) => {
      const answer = answerTo(message)
      if (answer === undefined) return
      const isRejected = message.type === 'MsgApp' && !ours.events.delivered.some(isSnapshot)
      const refusal = { reject: true, index: message.index, rejectHint: ZERO_INDEX }
      ours.transport.send([isRejected ? { ...answer, ...refusal } : answer])
    }
    const higher = { from: ours.id, to: realId, term: term(highest + 1) }
    ours.transport.send([message({ ...higher, type: 'MsgHeartbeatResp' })])
    await until(() => delivered('MsgSnap').length === 1)
    const [snapshot] = delivered('MsgSnap')
    expect(snapshot?.snapshot?.metadata.index).toBeGreaterThan(5000)
    expect(snapshot?.snapshot?.metadata.confState.voters).toHaveLength(2)
    const database = Buffer.concat(bytes)
    expect(database.readUInt32LE(16).toString(16)).toBe('ed0cdaed')
    expect(ours.log.has('received and saved database snapshot')).toBe(true)
    await until(() => realLog.includes('sent database snapshot'))
    const index = snapshot?.snapshot?.metadata.index ?? ZERO_INDEX
    const { term: now } = snapshot ?? { term: term(0) }
    const taken = { from: ours.id, to: realId, term: now, type: 'MsgAppResp', index } as const
    ours.transport.send([message(taken)])
    await put(1)
  })

  test('follows us: it grants our vote and acknowledges whole and continued appends', async () => {
    const last = delivered('MsgApp')
      .flatMap(({ entries }) => entries)
      .reduce((a, b) => (b.index > a.index ? b : a))
    const ourTerm = term(Math.max(...ours.events.delivered.map((one) => one.term)) + 10)
    const us = { from: ours.id, to: realId, term: ourTerm }
    ours.events.onDeliver = () => undefined
    const context = Buffer.from('CampaignTransfer')
    const vote = { ...us, type: 'MsgVote', index: last.index, logTerm: last.term, context } as const
    ours.transport.send([message(vote)])
    const answers = (type: Message['type']): Message[] =>
      delivered(type).filter((one) => one.term === ourTerm)
    await until(() => answers('MsgVoteResp').length === 1)
    expect(answers('MsgVoteResp')[0]?.reject).toBe(false)

    const entry = (at: number): Entry =>
      Entry.create({ term: ourTerm, index: logIndex(last.index + at) })
    const first = { ...us, type: 'MsgApp', index: last.index, logTerm: last.term } as const
    ours.transport.send([message({ ...first, entries: [entry(1)] })])
    for (let at = 1; at < 30; at += 2) {
      const index = logIndex(last.index + at)
      const entries = [entry(at + 1), entry(at + 2)]
      ours.transport.send([
        message({ ...us, type: 'MsgApp', index, logTerm: ourTerm, entries, commit: index }),
      ])
    }
    const reached = (): number => Math.max(0, ...answers('MsgAppResp').map(({ index }) => index))
    await until(() => reached() === last.index + 31)
    expect(answers('MsgAppResp').some(({ reject }) => reject)).toBe(false)
    await until(() => realLog.includes(`elected leader ${ours.id.toString(16)} at term ${ourTerm}`))
    const failed = /failed to parse|lost TCP streaming/.test(
      realLog.slice(realLog.indexOf('at term')),
    )
    expect(failed).toBe(false)
  })

  test('takes what we pipeline while no stream is attached', async () => {
    const beside = await startMember(0, {
      id: idOf(ours.url),
      clusterId: clusterIdOf([realId, idOf(ours.url)]),
    })
    try {
      beside.transport.addRemote(realId, [realPeerUrl])
      beside.transport.send([message({ type: 'MsgHeartbeatResp', to: realId, from: beside.id })])
      await until(() => beside.log.has('peer became active'))
      expect(beside.events.unreachables).toEqual([])
      expect(beside.events.removals).toBe(0)
    } finally {
      await beside.stop()
    }
  })
})
