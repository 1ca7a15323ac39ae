import type { KnownBug } from './known-bug.js'
import { shaped } from './tools.js'

/** Leases that end when they must not. */
export const LEASE_BUGS: readonly KnownBug[] = [
  {
    name: 'leases end at half their time',
    foundBy: ['lease-time'],
    shape: shaped({}, { grant: 20, renew: 20, revoke: 0, put: 20 }),
    create: () => ({
      member: (_place, member) => {
        const { lessor } = member.state
        const expired = lessor.expired.bind(lessor)
        lessor.expired = (nowMs, max) => expired(nowMs + 1500, max)
      },
    }),
  },
  {
    name: 'a new leader goes on with leases as if no time could be missing',
    foundBy: ['lease-time'],
    shape: shaped(
      { 'move-leader': 10, 'isolate-leader': 5 },
      { grant: 20, renew: 20, revoke: 0, put: 20 },
      { leaseCheckpoints: false },
    ),
    create: () => ({
      member: (_place, member) => {
        const { lessor } = member.state
        const promote = lessor.promote.bind(lessor)
        lessor.promote = (_extendMs, nowMs) => promote(-3000, nowMs)
      },
    }),
  },
  {
    name: 'a leader that stood still ends leases that its successor renewed',
    foundBy: ['lease-time'],
    shape: shaped({ pause: 10, 'isolate-leader': 4 }, { grant: 20, renew: 40, revoke: 0, put: 5 }),
    create: () => ({
      member: (_place, member) => {
        let isTicking = false
        const [tick, linearize] = [member.tick.bind(member), member.linearize.bind(member)]
        member.tick = () => {
          isTicking = true
          tick()
          isTicking = false
        }
        // Within a tick only the end of leases asks whether this member leads still.
        member.linearize = (done) => {
          if (isTicking) done(undefined)
          else linearize(done)
        }
      },
    }),
  },
]
