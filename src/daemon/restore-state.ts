import { randomInt } from 'node:crypto'
import { Alarms } from '../apply/alarms.js'
import { StateMachine } from '../apply/state-machine.js'
import { Backend } from '../backend/backend.js'
import type { ClusterId } from '../base/ids.js'
import { bytesFromLatin1, latin1FromBytes } from '../base/latin1.js'
import { parseLeaseRow } from '../lease/lease-row.js'
import { Lessor } from '../lease/lessor.js'
import { minimumLeaseTtl } from '../lease/limits.js'
import type { ReplicatedState } from '../member/replicated-state.js'
import { Membership } from '../membership/membership.js'
import { readMembershipRows } from '../membership/membership-rows.js'
import { readMembershipTree } from '../membership/membership-tree.js'
import type { MembershipBucket, MembershipRows } from '../membership/sinks.js'
import { MvccStore } from '../mvcc/mvcc-store.js'
import type { EngineEntry, KeyValueEngine } from '../ports/key-value-engine.js'
import { V2Store } from '../v2store/store.js'

export interface RestoreOptions {
  readonly engine: KeyValueEngine
  readonly clusterId: ClusterId
  /** The v2 tree of the snapshot that the log goes on from; undefined at the very beginning. */
  readonly v2State: Uint8Array | undefined
  readonly electionTimeoutMs: number
  readonly learnersMax: number
  readonly leaseCheckpoint: boolean
  readonly leaseCheckpointPersist: boolean
  readonly quotaBytes: number
  readonly batchChangesMax: number
  /** Runs a task in a later turn of the event loop. */
  readonly defer: (task: () => void) => void
  readonly onBackendFailure: (failure: Error) => void
}

const readBucket = (
  backend: Backend,
  bucket: 'lease' | 'alarm' | 'cluster',
): Promise<readonly EngineEntry[]> =>
  new Promise((resolve) => {
    backend.readBucket(bucket, resolve)
  })

/** Buckets of membership as its own code names their keys. */
function membershipRowsOf(backend: Backend): MembershipRows {
  return {
    put: (bucket, key, value) => backend.put(bucket, bytesFromLatin1(key), value),
    delete: (bucket, key) => backend.delete(bucket, bytesFromLatin1(key)),
  }
}

function restoredV2(state: Uint8Array | undefined): V2Store {
  const v2 = new V2Store()
  if (state === undefined || state.length === 0) return v2
  const recovered = v2.recover(state)
  if (recovered.kind === 'unreadable') {
    throw new Error(`the snapshot's v2 store cannot be read: ${recovered.reason}`)
  }
  return v2
}

/**
 * Membership is what the snapshot's tree says; a downgrade under way is known from the backend
 * only.
 */
async function restoredMembership(
  backend: Backend,
  v2: V2Store,
  options: RestoreOptions,
): Promise<Membership> {
  const tree = readMembershipTree(v2)
  if (tree.kind === 'unreadable') throw new Error(tree.reason)
  const cluster = await readBucket(backend, 'cluster')
  const rows = readMembershipRows({
    rows: (bucket: MembershipBucket) =>
      bucket === 'cluster'
        ? cluster.map(({ key, value }) => [latin1FromBytes(key), value] as const)
        : [],
  })
  return new Membership({
    clusterId: options.clusterId,
    stored: tree.stored,
    downgrade: rows.kind === 'read' ? rows.downgrade : undefined,
    learnersMax: options.learnersMax,
  })
}

/**
 * Builds everything that follows from the log out of the engine's content and the snapshot's v2
 * tree.
 */
export async function restoreState(options: RestoreOptions): Promise<ReplicatedState> {
  const backend = new Backend({
    engine: options.engine,
    defer: options.defer,
    onFailure: options.onBackendFailure,
    batchChangesMax: options.batchChangesMax,
  })
  const lessor = new Lessor({
    minimumTtl: minimumLeaseTtl(options.electionTimeoutMs),
    checkpoints: options.leaseCheckpoint,
  })
  const leases = await readBucket(backend, 'lease')
  lessor.restore(leases.map(({ value }) => parseLeaseRow(value)))
  const word = (): number => randomInt(2 ** 32)
  const hashSeed = { low: word(), high: word() }
  const store = new MvccStore({ rows: backend, attachments: lessor, hashSeed })
  await new Promise<void>((resolve) => {
    backend.restoreRows(store, resolve)
  })
  store.finishRestore()
  const alarms = new Alarms({
    putAlarm: (key) => backend.put('alarm', key, new Uint8Array(0)),
    deleteAlarm: (key) => backend.delete('alarm', key),
  })
  alarms.restore((await readBucket(backend, 'alarm')).map(({ key }) => key))
  const v2 = restoredV2(options.v2State)
  const membership = await restoredMembership(backend, v2, options)
  const membershipRows = membershipRowsOf(backend)
  const machine = new StateMachine({
    store,
    lessor,
    alarms,
    membership,
    leaseRows: {
      putLease: (key, value) => backend.put('lease', key, value),
      deleteLease: (key) => backend.delete('lease', key),
    },
    membershipSinks: { tree: v2, rows: membershipRows },
    persistsCheckpoints: options.leaseCheckpointPersist,
    hasRoomFor: (bytes) => backend.sizeBytes + bytes < options.quotaBytes,
  })
  return { backend, membershipRows, store, lessor, alarms, membership, v2, machine }
}
