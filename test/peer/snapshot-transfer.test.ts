/** Goal: a snapshot arrives whole, no faster than it is taken, and its outcome is told. Method: two transports. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { SNAPSHOTS_MAX } from '../../src/peer/peer-limits.js'
import type { SnapshotBody } from '../../src/ports/peer-network.js'
import { SILENT, startCluster, startMember, type TestMember, until } from './cluster.js'
import { id, said, snapshotMessage } from './messages.js'

let members: TestMember[] = []
afterEach(async () => {
  await Promise.all(members.map((member) => member.stop()))
  members = []
})

async function pair(
  options: Parameters<typeof startCluster>[1] = {},
): Promise<[TestMember, TestMember]> {
  members = await startCluster(2, options)
  return members as [TestMember, TestMember]
}

const CHUNK_BYTES = 256 * 1024

/** `chunks` pieces of known content; `produced` counts how many were asked for. */
class CountedBody implements SnapshotBody {
  readonly #chunks: number
  readonly #failAt: number
  produced = 0
  closes = 0
  constructor(chunks: number, failAt = Number.POSITIVE_INFINITY) {
    this.#chunks = chunks
    this.#failAt = failAt
  }
  async next(): Promise<Uint8Array | undefined> {
    if (this.produced === this.#failAt) throw new Error('the disk is broken')
    if (this.produced === this.#chunks) return undefined
    return new Uint8Array(CHUNK_BYTES).fill(this.produced++ & 0xff)
  }
  close(): void {
    this.closes++
  }
}

const toTwo = snapshotMessage({ from: 1, to: 2, index: 7 })

describe('a snapshot', () => {
  test('of 50 MB arrives whole, is delivered after its body, and is told as finished', async () => {
    const outcomes: string[] = []
    const [one, two] = await pair({
      observer: {
        ...SILENT,
        snapshotSendEnded: (_, outcome) => outcomes.push(`sent ${outcome}`),
        snapshotReceiveEnded: (_, outcome) => outcomes.push(`received ${outcome}`),
      },
    })
    let bytes = 0
    let isIntact = true
    two.events.onSnapshot = async (message, body) => {
      expect(said(message)).toBe(said(toTwo))
      for await (const chunk of body) {
        isIntact &&= chunk[0] === (Math.floor(bytes / CHUNK_BYTES) & 0xff)
        bytes += chunk.length
      }
      expect(two.events.delivered).toEqual([])
    }
    const body = new CountedBody(200)
    one.transport.sendSnapshot(toTwo, body)
    await until(() => one.events.snapshots.length === 1)
    expect(one.events.snapshots).toEqual([['finish', 2n]])
    expect([bytes, isIntact, body.closes]).toEqual([200 * CHUNK_BYTES, true, 1])
    expect(two.events.delivered.map(said)).toEqual([said(toTwo)])
    expect(outcomes.sort()).toEqual(['received finish', 'sent finish'])
    expect(one.log.has('sent database snapshot')).toBe(true)
  })

  test('is read no faster than the peer takes it', async () => {
    const [one, two] = await pair()
    let release = (): void => undefined
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    two.events.onSnapshot = async (_, body) => {
      await gate
      for await (const _chunk of body);
    }
    const body = new CountedBody(200)
    one.transport.sendSnapshot(toTwo, body)
    await until(() => body.produced > 0)
    let before = -1
    while (before !== body.produced) {
      before = body.produced
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    // What the kernel buffers is the kernel's; the rest of 50 MB has not been asked for.
    expect(body.produced).toBeLessThan(100)
    release()
    await until(() => one.events.snapshots.length === 1)
    expect(one.events.snapshots).toEqual([['finish', 2n]])
  })

  test('whose receiver refuses it fails with its reason, and the sender stops reading', async () => {
    const [one, two] = await pair()
    two.events.onSnapshot = async (_, body) => {
      for await (const _chunk of body) throw new Error('not in a form that we know')
    }
    const body = new CountedBody(2000)
    one.transport.sendSnapshot(toTwo, body)
    await until(() => one.events.snapshots.length === 1)
    expect(one.events.snapshots).toEqual([['failure', 2n]])
    expect(one.events.unreachables).toEqual([2n])
    expect(body.closes).toBe(1)
    const line = one.log.lines.find(({ message }) => message === 'failed to send database snapshot')
    expect(String(line?.fields.error)).toMatch(
      /unexpected http status Internal Server Error while posting to "http:.*\/raft\/snapshot"/,
    )
    expect(two.events.delivered).toEqual([])
    expect(two.log.has('failed to save incoming database snapshot')).toBe(true)
  })

  test('whose body breaks fails at both ends', async () => {
    const [one, two] = await pair()
    let failure: unknown
    two.events.onSnapshot = async (_, body) => {
      try {
        for await (const _chunk of body);
      } catch (error) {
        failure = error
        throw error
      }
    }
    const body = new CountedBody(50, 20)
    one.transport.sendSnapshot(toTwo, body)
    await until(() => one.events.snapshots.length === 1 && failure !== undefined)
    expect(one.events.snapshots).toEqual([['failure', 2n]])
    expect(body.closes).toBe(1)
    expect(two.events.delivered).toEqual([])
  })

  test('to a peer that dies in the middle fails', async () => {
    const [one, two] = await pair()
    two.events.onSnapshot = async (_, body) => {
      for await (const _chunk of body) two.server.closeAllConnections()
    }
    const body = new CountedBody(2000)
    one.transport.sendSnapshot(toTwo, body)
    await until(() => one.events.snapshots.length === 1)
    expect(one.events.snapshots).toEqual([['failure', 2n]])
    expect(body.closes).toBe(1)
  })

  test('that moves nowhere is given up', async () => {
    const one = await startMember(1, { timings: { snapshotIdleMs: 100 } })
    members = [one]
    const sleeper = createServer((request) => request.pause())
    await new Promise<void>((resolve) => sleeper.listen(0, '127.0.0.1', resolve))
    const { port } = sleeper.address() as AddressInfo
    one.transport.addPeer(id(2), [`http://127.0.0.1:${port}`])
    one.transport.sendSnapshot(toTwo, new CountedBody(2000))
    await until(() => one.events.snapshots.length === 1)
    expect(one.events.snapshots).toEqual([['failure', 2n]])
    await one.stop()
    members = []
    sleeper.close()
    sleeper.closeAllConnections()
  })

  test('beyond the limit, or to nobody we know, fails at once', async () => {
    const [one, two] = await pair()
    let release = (): void => undefined
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    two.events.onSnapshot = async (_, body) => {
      await gate
      for await (const _chunk of body);
    }
    const bodies = Array.from({ length: SNAPSHOTS_MAX + 1 }, () => new CountedBody(1))
    for (const body of bodies) one.transport.sendSnapshot(toTwo, body)
    expect(one.events.snapshots).toEqual([['failure', 2n]])
    expect(bodies.at(-1)?.closes).toBe(1)
    release()
    await until(() => one.events.snapshots.length === SNAPSHOTS_MAX + 1)
    expect(one.events.snapshots.filter(([outcome]) => outcome === 'finish')).toHaveLength(
      SNAPSHOTS_MAX,
    )
    const stray = new CountedBody(1)
    one.transport.sendSnapshot(snapshotMessage({ from: 1, to: 77, index: 7 }), stray)
    expect(stray.closes).toBe(1)
    expect(one.events.snapshots.at(-1)).toEqual(['failure', 77n])
  })

  test('under way when we stop ends, and is told to nobody', async () => {
    const [one, two] = await pair()
    two.events.onSnapshot = async (_, body) => {
      for await (const _chunk of body) await new Promise((resolve) => setTimeout(resolve, 5))
    }
    const body = new CountedBody(2000)
    one.transport.sendSnapshot(toTwo, body)
    await until(() => body.produced > 4)
    one.transport.stop()
    await until(() => body.closes === 1)
    expect(one.events.snapshots).toEqual([])
  })
})
