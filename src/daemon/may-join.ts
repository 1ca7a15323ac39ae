import { idToHex } from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import { MIN_CLUSTER_VERSION, SERVER_VERSION } from '../base/version.js'
import {
  compareVersions,
  formatVersion,
  isCompatibleWithCluster,
  joinableRange,
  parseVersion,
} from '../membership/cluster-version.js'
import type { Member } from '../membership/member.js'
import { type CallOptions, fetchVersion } from '../peer/cluster-discovery.js'
import type { Log } from '../ports/log.js'

/**
 * Asks the members of a running cluster for its version: whether a member of ours may join it. Each
 * that is out of range is told of in etcd's words. Nobody who answers is a no.
 */
export async function mayJoin(
  others: readonly Member[],
  calls: CallOptions,
  log: Log,
): Promise<boolean> {
  const server = parseVersion(SERVER_VERSION)
  const minimum = parseVersion(MIN_CLUSTER_VERSION)
  invariant(server !== undefined && minimum !== undefined, 'our own versions are versions')
  const range = joinableRange({ server, minimum, isDowngrading: false })
  const asked = others.map(async ({ id, peerUrls }) => {
    const text = (await fetchVersion(peerUrls, calls))?.etcdcluster ?? ''
    const version = parseVersion(text)
    if (version === undefined || isCompatibleWithCluster([text], range)) return text
    const how = compareVersions(version, range.lowest) < 0 ? 'low' : 'high'
    log.warn(`cluster version of remote member is not compatible; too ${how}`, {
      'remote-member-id': idToHex(id),
      'remote-member-cluster-version': text,
      'minimum-cluster-version-supported': formatVersion(range.lowest),
    })
    return text
  })
  return isCompatibleWithCluster(await Promise.all(asked), range)
}
