/** The check that every request between members passes first (facts: peer-protocol.md 2). */
import { MIN_CLUSTER_VERSION, SERVER_VERSION } from '../base/version.js'

/** What a peer too old to say so is taken for. */
const OLDEST_VERSION = '2.0.0'
/** Streams exist since this version. */
const FIRST_STREAM_VERSION = '2.1.0'

export const INCOMPATIBLE_VERSION = 'incompatible version'
export const CLUSTER_ID_MISMATCH = 'cluster ID mismatch'

/**
 * Compares major.minor only: negative when `a` is lower. Undefined when one of them is not a
 * version.
 */
function compareMajorMinor(a: string, b: string): number | undefined {
  const [left, right] = [a, b].map((text) => /^(\d{1,9})\.(\d{1,9})\.\d+/.exec(text))
  if (left === null || left === undefined || right === null || right === undefined) return undefined
  const major = Number(left[1]) - Number(right[1])
  return major === 0 ? Number(left[2]) - Number(right[2]) : major
}

const isLower = (a: string, b: string): boolean => (compareMajorMinor(a, b) ?? -1) < 0

export interface RemoteIdentity {
  readonly serverVersion: string | undefined
  readonly minClusterVersion: string | undefined
  readonly clusterIdText: string | undefined
}

/** The error text to refuse a request with, or undefined when it may pass. */
export function incompatibility(
  remote: RemoteIdentity,
  localClusterIdText: string,
): typeof INCOMPATIBLE_VERSION | typeof CLUSTER_ID_MISMATCH | undefined {
  const server = remote.serverVersion ?? OLDEST_VERSION
  const minCluster = remote.minClusterVersion ?? OLDEST_VERSION
  if (isLower(server, MIN_CLUSTER_VERSION)) return INCOMPATIBLE_VERSION
  if (isLower(SERVER_VERSION, minCluster)) return INCOMPATIBLE_VERSION
  return remote.clusterIdText === localClusterIdText ? undefined : CLUSTER_ID_MISMATCH
}

/** Whether a peer of this version (from its response) can write streams at all. */
export function supportsStreams(serverVersion: string | undefined): boolean {
  return !isLower(serverVersion ?? OLDEST_VERSION, FIRST_STREAM_VERSION)
}
