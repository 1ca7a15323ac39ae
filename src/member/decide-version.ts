import { invariant } from '../base/invariant.js'
import { MIN_CLUSTER_VERSION, SERVER_VERSION } from '../base/version.js'
import {
  decideClusterVersion,
  formatVersion,
  parseVersion,
  versionToPropose,
} from '../membership/cluster-version.js'
import type { Membership } from '../membership/membership.js'

/**
 * The cluster version that the leader should propose, or undefined when it is right or cannot be
 * decided now. `others` are the server versions of the other members; undefined for those that did
 * not answer.
 */
export function decideVersion(
  membership: Membership,
  others: readonly (string | undefined)[],
): string | undefined {
  const servers = [SERVER_VERSION, ...others].map((text) =>
    text === undefined ? undefined : parseVersion(text),
  )
  const minimum = parseVersion(MIN_CLUSTER_VERSION)
  invariant(minimum !== undefined, 'the minimum cluster version is a version')
  const proposed = versionToPropose({
    current: membership.version,
    decided: decideClusterVersion(servers),
    minimum,
  })
  return proposed === undefined ? undefined : formatVersion(proposed)
}
