import { leaseId } from '../../src/base/ids.js'
import { SERVER_VERSION } from '../../src/base/version.js'
import type { Member } from '../../src/member/member.js'
import type { LeaderCalls } from '../../src/member/member-parts.js'
import type { SimulatedNode } from './node.js'
import type { SimulatedNetwork } from './world/network.js'
import type { World } from './world/world.js'

/** How long a call waits for its answer, microseconds. */
const CALL_TIMEOUT_US = 2_000_000

/** What members ask their leader beside consensus, over the same links as everything else. */
export function simulatedLeaderCalls(
  from: SimulatedNode,
  network: SimulatedNetwork,
  world: World,
): LeaderCalls {
  const call = <Answer>(
    urls: readonly string[],
    ask: (member: Member, answer: (value: Answer) => void) => void,
    done: (value: Answer | undefined) => void,
  ): void => {
    let isDone = false
    const finish = (value: Answer | undefined): void => {
      if (isDone) return
      isDone = true
      done(value)
    }
    from.defer(CALL_TIMEOUT_US, () => finish(undefined))
    const to = network.hostAt(urls) as SimulatedNode | undefined
    if (to === undefined) return
    const { incarnation } = from
    world.queue.after(network.delayUs(), () => {
      if (!to.isUp || !network.isConnected(from.place, to.place)) return
      to.run(to.incarnation, () => {
        if (to.member === undefined) return
        ask(to.member, (value) => {
          world.queue.after(network.delayUs(), () => {
            if (network.isConnected(from.place, to.place))
              from.run(incarnation, () => finish(value))
          })
        })
      })
    })
  }
  const late = { kind: 'failed', code: 'TIMEOUT' } as const
  return {
    keepAlive: (urls, id, done) =>
      call<Parameters<typeof done>[0]>(
        urls,
        (member, answer) => {
          if (!member.isLeader) answer(late)
          else
            member.renewLease(leaseId(id), (outcome) => {
              if (outcome.kind === 'renewed') answer(outcome)
              else
                answer({
                  kind: 'failed',
                  code: outcome.code === 'LEASE_NOT_FOUND' ? 'LEASE_NOT_FOUND' : 'TIMEOUT',
                })
            })
        },
        (value) => done(value ?? late),
      ),
    timeToLive: (urls, request, done) =>
      call<Parameters<typeof done>[0]>(
        urls,
        (member, answer) => {
          if (!member.isLeader) answer(late)
          else
            member.leaseTimeToLive(leaseId(request.id), request.keys, (outcome) =>
              answer(outcome.kind === 'found' ? outcome : late),
            )
        },
        (value) => done(value ?? late),
      ),
    promote: (urls, id, done) =>
      call<Parameters<typeof done>[0]>(
        urls,
        (member, answer) => {
          if (!member.isLeader) answer(late)
          else
            member.members.promote(id, (outcome) =>
              answer(outcome.kind === 'changed' ? outcome : late),
            )
        },
        (value) => done(value ?? late),
      ),
    versions: (members, done) => {
      let left = members.length
      const found = members.map((): string | undefined => undefined)
      if (left === 0) from.defer(0, () => done(found))
      members.forEach(({ peerUrls }, at) => {
        call<string>(
          peerUrls,
          (_member, answer) => answer(SERVER_VERSION),
          (version) => {
            found[at] = version
            left--
            if (left === 0) done(found)
          },
        )
      })
    },
  }
}
