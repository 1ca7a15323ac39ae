import { NO_MEMBER } from '../../../src/base/ids.js'
import type { SimulationOptions } from '../options.js'
import { SimulatedDisk } from '../world/disk.js'
import type { KnownBug } from './known-bug.js'
import { changingSave, POWER, replaced, sendingEarly, shaped } from './tools.js'
import { cutAtDamage, damageMiddle, mendChecksums } from './unsound-reader.js'

const asOne = (options: SimulationOptions): SimulationOptions => ({
  ...shaped(POWER)(options),
  memberCount: 1,
})

/** Where a machine's log is. */
const WAL = '/data/member/wal'

/** Power is lost while much is on its way to the disk. */
const onSlowDisks = (options: SimulationOptions): SimulationOptions => ({
  ...shaped({ 'power-loss': 10 }, { put: 20, 'put-large': 30 })(options),
  clientCount: 8,
  faultMeanMs: 1500,
  disk: { latencyMeanUs: 20_000, stallPerMille: 10 },
})

/** What is said, and what is kept, around the log on disk. */
export const DURABILITY_BUGS: readonly KnownBug[] = [
  {
    name: 'entries acknowledged before they are durable',
    foundBy: ['durable-first'],
    shape: shaped(POWER),
    create: () =>
      changingSave((log, write, done) => {
        log.save(write, () => undefined)
        done(undefined)
      }),
  },
  {
    name: 'entries written without a sync',
    foundBy: ['durable-first'],
    shape: shaped(POWER),
    create: () => changingSave((log, write, done) => log.save({ ...write, mustSync: false }, done)),
  },
  {
    name: 'appends are acknowledged before the write',
    foundBy: ['durable-first'],
    shape: shaped(POWER),
    create: () =>
      sendingEarly(({ type, to }, { memberId }) => type === 'MsgAppResp' && to !== memberId),
  },
  {
    name: 'the term is not kept over a restart',
    foundBy: ['durable-first', 'hard-state', 'one-vote', 'one-leader'],
    shape: shaped({ 'power-loss-all': 5, crash: 3, 'isolate-leader': 3 }),
    create: () =>
      changingSave((log, write, done) => log.save({ ...write, hardState: undefined }, done)),
  },
  {
    name: 'a vote leaves before it is durable',
    foundBy: ['durable-first', 'one-vote', 'one-leader'],
    shape: shaped({ ...POWER, 'isolate-leader': 4 }),
    create: () =>
      sendingEarly(({ type, to }, { memberId }) => type === 'MsgVoteResp' && to !== memberId),
  },
  {
    name: 'a vote is not kept over a restart',
    foundBy: ['durable-first', 'one-vote', 'one-leader'],
    shape: shaped({ ...POWER, 'isolate-leader': 4 }),
    create: () =>
      changingSave((log, write, done) => {
        const { hardState } = write
        const forgetful = hardState && { ...hardState, vote: NO_MEMBER }
        log.save({ ...write, hardState: forgetful }, done)
      }),
  },
  {
    name: 'a single member acknowledges a write before it has it',
    foundBy: ['durable-first', 'durability', 'replay-check', 'no-crash'],
    shape: asOne,
    create: () =>
      changingSave((log, write, done) => {
        log.save(write, () => undefined)
        done(undefined)
      }),
  },
  {
    // Outside of what Raft can bear: one liar of three may lose what was acknowledged. It has to be seen.
    name: 'one disk of three says that it wrote what it only took',
    foundBy: ['durable-first', 'leader-completeness', 'commit-history', 'log-matching'],
    shape: shaped(POWER),
    create: () => ({
      member: ({ place, disk }) => {
        if (place !== 1 || Object.hasOwn(disk, 'open')) return
        const open = disk.open.bind(disk)
        disk.open = (path, options) => open(path, { ...options, isDurable: false })
      },
    }),
  },
  {
    name: 'the torn end of the log is taken for whole',
    foundBy: ['durable-first', 'no-crash', 'commit-history', 'log-matching'],
    shape: onSlowDisks,
    install: () =>
      replaced(SimulatedDisk.prototype, 'read', (read) => {
        return function (this: SimulatedDisk, path: string): Uint8Array {
          const bytes = read.call(this, path)
          return path.endsWith('.wal') ? mendChecksums(bytes) : bytes
        }
      }),
  },
  {
    name: 'a log that is damaged in its middle is cut off there',
    foundBy: ['durable-first', 'no-crash'],
    shape: shaped({ 'power-loss': 8 }, { put: 30 }, { walSegmentBytes: 131_072 }),
    create: () => ({
      member: ({ place, disk }) => {
        if (place !== 1 || Object.hasOwn(disk, 'read')) return
        const [read, powerLoss] = [disk.read.bind(disk), disk.powerLoss.bind(disk)]
        let isDamaged = false
        disk.read = (path) => (path.endsWith('.wal') ? cutAtDamage(read(path)) : read(path))
        // The fault that brings it out: one bit on the medium turns over while the power is off.
        disk.powerLoss = () => {
          const last = disk.durableNames(WAL).at(-1)
          const medium = last === undefined ? undefined : disk.durableBytes(`${WAL}/${last}`)
          if (!isDamaged && medium !== undefined) isDamaged = damageMiddle(medium)
          powerLoss()
        }
      },
    }),
  },
]
