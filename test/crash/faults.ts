import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { bytesFromLatin1 } from '../../src/base/latin1.js'
import { DeleteRangeRequest } from '../../src/wire/rpc.js'
import type { MemberProcess } from '../interop/support/member-process.js'
import { pause } from '../interop/support/until.js'
import { Arena } from './arena.js'
import type { Flow } from './peer-proxy.js'
import { pick, type Random } from './random.js'
import { RawClient } from './raw-client.js'

export interface FaultContext {
  readonly arena: Arena
  readonly random: Random
  /** A revision that everybody who watches has seen. */
  readonly seenRevision: () => number
}

/** Disturbs the cluster, and leaves it so that it gets well by itself. Says what it did. */
type Fault = (context: FaultContext) => Promise<string>

/** Longer than an election takes (its timeout is 1,000 ms, and up to twice that), in milliseconds. */
const PAST_ELECTION_MS = 2300
/** How long a fault that does not stop a member lasts, and a member is down, in milliseconds. */
const DISTURBED_MS = 1500
const DOWN_MS = 300
/** A failpoint that was not passed within this time is left, in milliseconds. */
const PANIC_WITHIN_MS = 6000
/** So many entries bring a member that is down behind the log of the others. */
const BEHIND_ENTRIES = 1500
const BEHIND_AT_ONCE = 50

const anyMember = ({ arena, random }: FaultContext): MemberProcess =>
  pick(random, arena.cluster.members)

const others = ({ arena }: FaultContext, member: MemberProcess): readonly MemberProcess[] =>
  arena.cluster.members.filter((one) => one !== member)

async function kill(context: FaultContext): Promise<string> {
  const member = anyMember(context)
  await member.kill()
  await pause(DOWN_MS)
  member.start()
  return member.name
}

async function killAll({ arena }: FaultContext): Promise<string> {
  await Promise.all(arena.cluster.members.map((member) => member.kill()))
  for (const member of arena.cluster.members) member.start()
  return 'all'
}

async function terminate(context: FaultContext): Promise<string> {
  const member = anyMember(context)
  const { signal } = await member.stop()
  if (signal !== 'SIGTERM') throw new Error(`${member.name} ended by ${signal} on SIGTERM`)
  member.start()
  return member.name
}

async function freeze(context: FaultContext): Promise<string> {
  const member = pick(context.random, [await context.arena.cluster.leader(), anyMember(context)])
  member.signal('SIGSTOP')
  try {
    await pause(PAST_ELECTION_MS)
  } finally {
    member.signal('SIGCONT')
  }
  return member.name
}

/** Disturbs one member's links, in the directions that are chosen. */
async function disturb(
  context: FaultContext,
  flow: Flow,
  directions: readonly ('in' | 'out')[],
): Promise<string> {
  const member = anyMember(context)
  const { proxy } = context.arena
  for (const { name } of others(context, member)) {
    if (directions.includes('out')) proxy.set(member.name, name, flow)
    if (directions.includes('in')) proxy.set(name, member.name, flow)
  }
  await pause(flow.kind === 'cut' || flow.kind === 'hold' ? PAST_ELECTION_MS : DISTURBED_MS)
  proxy.heal()
  return `${member.name} ${directions.join('+')}`
}

const BOTH = ['in', 'out'] as const
const cut: Fault = (context) => disturb(context, { kind: 'cut' }, BOTH)
const oneWay: Fault = (context) => disturb(context, { kind: 'hold' }, [pick(context.random, BOTH)])
const delay: Fault = (context) =>
  disturb(context, { kind: 'delay', ms: 20 + context.random(150) }, BOTH)
const slow: Fault = (context) =>
  disturb(context, { kind: 'slow', bytesPerSecond: 15_000 + context.random(50_000) }, BOTH)

async function stepClock(context: FaultContext): Promise<string> {
  const member = anyMember(context)
  const offset = pick(context.random, [3600, -3600, 86_400, -7, 0])
  context.arena.setClock(member, offset)
  await pause(DISTURBED_MS)
  return `${member.name} ${offset} s`
}

/** Fills the file system of a member's data; returns what frees it again. */
function fillUp(member: MemberProcess): () => void {
  const path = join(member.dataDir, 'ballast')
  const file = openSync(path, 'w')
  for (let bytes = 1 << 22; bytes >= 1; ) {
    try {
      writeSync(file, new Uint8Array(bytes))
    } catch {
      bytes >>= 1
    }
  }
  closeSync(file)
  return () => rmSync(path)
}

async function fillDisk(context: FaultContext): Promise<string> {
  const { arena } = context
  const small = arena.cluster.members.find(({ name }) => name === arena.smallDiskMember)
  const member = small ?? anyMember(context)
  const free = small === undefined ? () => undefined : fillUp(small)
  if (small === undefined) await arena.failpoint(member, 'diskNoSpace', 'return')
  const isEnded = await ends(member, PANIC_WITHIN_MS)
  try {
    if (isEnded && !/no space left|ENOSPC|No space/i.test(member.log(6000))) {
      throw new Error(`${member.name} ended on a full disk without saying so`)
    }
    if (isEnded && small !== undefined) {
      // Neither a start on a full disk may do harm.
      member.start()
      await pause(DISTURBED_MS)
      await member.kill()
    }
  } finally {
    free()
  }
  if (!member.isRunning) member.start()
  else if (small === undefined) await arena.failpoint(member, 'diskNoSpace')
  return `${member.name}${isEnded ? ' ended' : ''}`
}

async function ends(member: MemberProcess, withinMs: number): Promise<boolean> {
  const end = Date.now() + withinMs
  while (member.isRunning && Date.now() < end) await pause(20)
  return !member.isRunning
}

type Target = 'any' | 'leader' | 'follower'
type Trigger = 'load' | 'compact' | 'defrag'
const PANICS: readonly (readonly [name: string, target: Target, trigger: Trigger])[] = [
  ['raftBeforeSave', 'any', 'load'],
  ['raftAfterSave', 'any', 'load'],
  ['raftBeforeLeaderSend', 'leader', 'load'],
  ['raftBeforeFollowerSend', 'follower', 'load'],
  ['raftBeforeAdvance', 'any', 'load'],
  ['walBeforeSync', 'any', 'load'],
  ['walAfterSync', 'any', 'load'],
  ['beforeApplyOneEntryNormal', 'any', 'load'],
  ['beforeWritebackBuf', 'any', 'load'],
  ['afterWritebackBuf', 'any', 'load'],
  ['beforeStartDBTxn', 'any', 'load'],
  ['afterStartDBTxn', 'any', 'load'],
  ['commitBeforePreCommitHook', 'any', 'load'],
  ['commitAfterPreCommitHook', 'any', 'load'],
  ['beforeCommit', 'any', 'load'],
  ['afterCommit', 'any', 'load'],
  ['beforeSendWatchResponse', 'any', 'load'],
  ['compactBeforeCommitScheduledCompact', 'any', 'compact'],
  ['compactAfterCommitScheduledCompact', 'any', 'compact'],
  ['compactAfterAcquiredBatchTxLock', 'any', 'compact'],
  ['compactBeforeCommitBatch', 'any', 'compact'],
  ['compactAfterCommitBatch', 'any', 'compact'],
  ['compactBeforeSetFinishedCompact', 'any', 'compact'],
  ['compactAfterSetFinishedCompact', 'any', 'compact'],
  ['defragBeforeCopy', 'any', 'defrag'],
  ['defragBeforeRename', 'any', 'defrag'],
]

async function panic(context: FaultContext): Promise<string> {
  const { arena, random } = context
  const [name, target, trigger] = pick(random, PANICS)
  const leader = await arena.cluster.leader()
  const member =
    target === 'any'
      ? anyMember(context)
      : target === 'leader'
        ? leader
        : pick(random, others(context, leader))
  if (!(await arena.failpoint(member, name, 'panic')))
    throw new Error(`${member.name} has no failpoint ${name}`)
  // The member may end before it answers, which is the point.
  if (trigger === 'defrag') await arena.cluster.tryCtl(['defrag'], { at: member })
  if (trigger === 'compact') {
    await arena.cluster.tryCtl(['compact', String(context.seenRevision())], {
      at: pick(random, others(context, member)),
    })
  }
  const isEnded = await ends(member, PANIC_WITHIN_MS)
  if (isEnded) {
    if (!member.log(6000).includes('failpoint panic')) {
      throw new Error(`${member.name} ended without a panic at ${name}`)
    }
    member.start()
  } else await arena.failpoint(member, name)
  return `${member.name} ${name}${isEnded ? '' : ', not passed'}`
}

const SNAPSHOT_PANICS = [
  ...['raftBeforeSaveSnap', 'raftAfterSaveSnap', 'raftAfterWALRelease'],
  ...['applyBeforeOpenSnapshot', 'applyAfterOpenSnapshot'],
  ...['raftBeforeApplySnap', 'raftAfterApplySnap'],
]

/** A member that was down so long that it needs a snapshot panics while it takes it. */
async function panicInSnapshot(context: FaultContext): Promise<string> {
  const { random } = context
  const member = anyMember(context)
  const name = pick(random, SNAPSHOT_PANICS)
  await member.kill()
  await leaveBehind(others(context, member))
  member.start(undefined, { GOFAIL_FAILPOINTS: `${name}=panic` })
  const isEnded = await ends(member, 2 * PANIC_WITHIN_MS)
  if (isEnded) member.start()
  return `${member.name} ${name}${isEnded ? '' : ', not passed'}`
}

/** Entries that change nothing: deletions of what is not there. */
async function leaveBehind(members: readonly MemberProcess[]): Promise<void> {
  const clients = members.map(({ clientUrl }) => new RawClient(clientUrl))
  const nothing = DeleteRangeRequest.encode({ key: bytesFromLatin1('nothing') })
  const path = '/etcdserverpb.KV/DeleteRange'
  let left = BEHIND_ENTRIES
  const work = async (at: number): Promise<void> => {
    while (left > 0) {
      left -= 1
      try {
        await clients[at % clients.length]?.call(path, nothing, 3000)
      } catch {
        await pause(20)
      }
    }
  }
  await Promise.all(Array.from({ length: BEHIND_AT_ONCE }, (_, at) => work(at)))
  for (const client of clients) client.close()
}

/** Everything takes its time at one place, or messages are dropped there. */
async function stumble(context: FaultContext): Promise<string> {
  const { arena, random } = context
  const member = anyMember(context)
  const [name, terms] = pick(random, [
    ['walBeforeSync', '20.0%sleep(60)'],
    ['walAfterSync', '20.0%sleep(60)'],
    ['beforeApplyOneEntryNormal', '5.0%sleep(40)'],
    ['beforeCommit', '50.0%sleep(80)'],
    ['raftDropHeartbeat', 'return'],
    ['raftDropHeartbeat', '30.0%return'],
    ['beforeSendWatchResponse', '10.0%sleep(50)'],
  ] as const)
  await arena.failpoint(member, name, terms)
  await pause(PAST_ELECTION_MS)
  await arena.failpoint(member, name)
  return `${member.name} ${name}=${terms}`
}

/** The member comes back with an empty directory and a new id, as after a lost disk. */
async function wipe(context: FaultContext): Promise<string> {
  const { arena } = context
  const { cluster } = arena
  const candidates = cluster.members.filter(({ name }) => name !== arena.smallDiskMember)
  const member = pick(context.random, candidates)
  const id = await cluster.idOf(member)
  await member.kill()
  await cluster.strike(id)
  member.wipe()
  const { peerUrl } = member.options
  await cluster.announce(member.name, peerUrl)
  member.start(cluster.joinFlags(), { GOFAIL_FAILPOINTS: 'beforeApplyOneConfChange=sleep(30)' })
  return member.name
}

/** Everything that can be done, by name. */
export const FAULTS: ReadonlyMap<string, Fault> = new Map<string, Fault>([
  ['kill', kill],
  ['kill all', killAll],
  ['terminate', terminate],
  ['freeze', freeze],
  ['cut', cut],
  ['one-way', oneWay],
  ['delay', delay],
  ['slow', slow],
  ...(Arena.canStepClocks ? [['clock', stepClock] as const] : []),
  ['disk full', fillDisk],
  ['panic', panic],
  ['panic in snapshot', panicInSnapshot],
  ['stumble', stumble],
  ['wipe', wipe],
])
