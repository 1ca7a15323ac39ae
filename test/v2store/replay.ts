/** Replays the log of an etcd 3.4 into our own state machines, for golden and live comparisons. */
import { clusterId } from '../../src/base/ids.js'
import { parseVersion } from '../../src/membership/cluster-version.js'
import { parseAttributes } from '../../src/membership/member.js'
import { Membership } from '../../src/membership/membership.js'
import { applyV2Request } from '../../src/v2store/apply-request.js'
import { V2Store } from '../../src/v2store/store.js'
import { ConfChange, type Entry } from '../../src/wire/raftpb.js'
import { V2Request } from '../../src/wire/v2-request.js'

const MILLI = 1_000_000n

export interface Replayed {
  readonly store: V2Store
  readonly membership: Membership
}

/** The clock is taken from the entries: ends and sync times, less the TTLs that the client asked for. */
export function replay(entries: readonly Entry[], ttlSeconds: readonly number[]): Replayed {
  const store = new V2Store()
  const membership = new Membership({ clusterId: clusterId(0n) })
  const ttls = [...ttlSeconds]
  let nowMs = 0
  for (const entry of entries) {
    if (entry.data.length === 0) continue
    if (entry.type === 'EntryConfChange') {
      const verdict = membership.validate(ConfChange.decode(entry.data))
      if (verdict.kind !== 'valid') throw new Error(verdict.kind)
      membership.apply(verdict.change, { tree: store })
      continue
    }
    const request = V2Request.decode(entry.data)
    if (request.Expiration !== 0n) {
      const ttl = ttls.shift()
      if (ttl === undefined) throw new Error('more TTLs in the log than were asked for')
      nowMs = Number(request.Expiration / MILLI) - ttl * 1000 + 1
    }
    if (request.Method === 'SYNC') nowMs = Number(request.Time / MILLI) + 1
    const result = applyV2Request(store, request, nowMs)
    if (result.kind === 'member-attributes') {
      const attributes = parseAttributes(result.attributes)
      if (attributes === undefined) throw new Error(result.attributes)
      membership.setAttributes(result.memberId, attributes, { tree: store })
    } else if (result.kind === 'cluster-version') {
      const version = parseVersion(result.version)
      if (version === undefined) throw new Error(result.version)
      membership.setVersion(version, { tree: store })
    }
  }
  return { store, membership }
}

/** Most reads are in no log, yet counted where they are made: makes as many as `expected` counted more. */
export function makeReads(store: V2Store, expected: string): void {
  const counted = JSON.parse(expected).Stats
  const own = JSON.parse(savedText(store)).Stats
  const read = (path: string) =>
    store.get({ path, nowMs: 0, isRecursive: false, isSorted: false }).kind
  for (let at = 0; at < counted.getsFail - own.getsFail; at++) read('/2/missing')
  for (let at = 0; at < counted.getsSuccess - own.getsSuccess; at++) read('/')
}

export const savedText = (store: V2Store): string => new TextDecoder().decode(store.saveNoCopy())

/** Where two long texts part, with what stands around; `undefined` = they are equal. */
export function firstDifference(ours: string, theirs: string): string | undefined {
  if (ours === theirs) return undefined
  let at = 0
  while (ours.charAt(at) === theirs.charAt(at)) at++
  const around = (text: string): string => text.slice(Math.max(0, at - 120), at + 120)
  return `at ${at}\nours:   ${around(ours)}\ntheirs: ${around(theirs)}`
}
