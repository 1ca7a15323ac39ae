import { DaemonError, type ErrorCode } from '../base/errors.js'
import { leaseId } from '../base/ids.js'
import { latin1FromBytes } from '../base/latin1.js'
import type { LeaderCalls } from '../member/member-parts.js'
import { type CallOptions, fetchVersion } from '../peer/cluster-discovery.js'
import { postLeaseKeepAlive, postLeaseTimeToLive, postPromote } from '../peer/leader-calls.js'

/** Narrows what went wrong to the codes that a caller can act on; anything else is a time-out. */
function codeAmong<Code extends ErrorCode>(
  error: unknown,
  known: readonly Code[],
): Code | 'TIMEOUT' {
  const { code } = DaemonError.from(error)
  return known.find((one) => one === code) ?? 'TIMEOUT'
}

const LEASE_CODES = ['LEASE_NOT_FOUND', 'NO_LEADER'] as const
const PROMOTE_CODES = [
  'MEMBER_NOT_FOUND',
  'MEMBER_NOT_LEARNER',
  'LEARNER_NOT_READY',
  'NO_LEADER',
] as const

/** The member's calls to its leader and peers, over HTTP on their peer ports. */
export function createLeaderCalls(options: () => CallOptions): LeaderCalls {
  return {
    keepAlive(urls, id, done) {
      postLeaseKeepAlive(urls, leaseId(id), options()).then(
        (ttlSeconds) => done({ kind: 'renewed', ttlSeconds }),
        (error: unknown) => done({ kind: 'failed', code: codeAmong(error, LEASE_CODES) }),
      )
    },
    timeToLive(urls, { id, keys }, done) {
      postLeaseTimeToLive(urls, { ID: leaseId(id), keys }, options()).then(
        (answer) =>
          done({
            kind: 'found',
            ttlSeconds: answer.TTL,
            grantedTtlSeconds: answer.grantedTTL,
            keys: answer.keys.map(latin1FromBytes),
          }),
        (error: unknown) => done({ kind: 'failed', code: codeAmong(error, LEASE_CODES) }),
      )
    },
    promote(urls, id, done) {
      postPromote(urls, id, options()).then(
        () => done({ kind: 'changed' }),
        (error: unknown) => done({ kind: 'failed', code: codeAmong(error, PROMOTE_CODES) }),
      )
    },
    versions(members, done) {
      const asked = members.map(({ peerUrls }) => fetchVersion(peerUrls, options()))
      void Promise.all(asked).then((found) => done(found.map((versions) => versions?.etcdserver)))
    },
  }
}
