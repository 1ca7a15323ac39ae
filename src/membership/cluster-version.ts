/**
 * Versions of servers and of the cluster, and who may run beside whom (facts: peer-protocol.md 11).
 */
import { SERVER_VERSION } from '../base/version.js'

/** A semantic version. The cluster's own has patch 0 and no pre-release. */
export interface Version {
  readonly major: number
  readonly minor: number
  readonly patch: number
  /** What follows `-`; empty = a release. */
  readonly preRelease: string
}

const FORMAT = /^(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+([0-9A-Za-z.-]+))?$/

/**
 * Reads `3.5.33`, `3.6.0-rc.1`; `undefined` when it is not in dotted-tri format (`not_decided` is
 * not).
 */
export function parseVersion(text: string): Version | undefined {
  const match = FORMAT.exec(text)
  if (match === null) return undefined
  const [major, minor, patch] = [Number(match[1]), Number(match[2]), Number(match[3])]
  if (![major, minor, patch].every(Number.isSafeInteger)) return undefined
  return { major, minor, patch, preRelease: match[4] ?? '' }
}

/** `3.5.33`, as bucket `cluster` and `/0/version` hold it. */
export function formatVersion(version: Version): string {
  const suffix = version.preRelease === '' ? '' : `-${version.preRelease}`
  return `${version.major}.${version.minor}.${version.patch}${suffix}`
}

/** `3.5`, as log lines and metrics show a cluster's version. */
export const shortVersion = (version: Version): string => `${version.major}.${version.minor}`

/** The version of a cluster whose lowest server is `version`: major and minor only. */
export const clusterVersionOf = ({ major, minor }: Version): Version => ({
  major,
  minor,
  patch: 0,
  preRelease: '',
})

function compareIdentifiers(a: string, b: string): number {
  const areNumbers = [/^\d+$/.test(a), /^\d+$/.test(b)]
  if (areNumbers[0] === true && areNumbers[1] === true) return Math.sign(Number(a) - Number(b))
  if (areNumbers[0] !== areNumbers[1]) return areNumbers[0] === true ? -1 : 1
  return a === b ? 0 : a < b ? -1 : 1
}

function comparePreRelease(a: string, b: string): number {
  if (a === b) return 0
  if (a === '' || b === '') return a === '' ? 1 : -1
  const [left, right] = [a.split('.'), b.split('.')]
  for (const [at, identifier] of left.entries()) {
    const other = right[at]
    if (other === undefined) return 1
    const order = compareIdentifiers(identifier, other)
    if (order !== 0) return order
  }
  return -1
}

/**
 * Negative, 0 or positive, by the rules of semantic versions: a pre-release is below its release.
 */
export function compareVersions(a: Version, b: Version): number {
  const order = a.major - b.major || a.minor - b.minor || a.patch - b.patch
  return order !== 0 ? order : comparePreRelease(a.preRelease, b.preRelease)
}

/** A downgrade of the whole cluster that an operator asked for. */
export interface DowngradeInfo {
  /** `3.4.0`; empty when none is under way. */
  readonly targetVersion: string
  readonly isEnabled: boolean
}

export const NO_DOWNGRADE: DowngradeInfo = { targetVersion: '', isEnabled: false }

/** The version a cluster may be taken down to: one minor less; `undefined` for x.0. */
export const allowedDowngradeOf = ({ major, minor }: Version): Version | undefined =>
  minor === 0 ? undefined : { major, minor: minor - 1, patch: 0, preRelease: '' }

/** The last major version without the v3 API. */
const LAST_V2_MAJOR = 2

/**
 * Whether a leader may propose `next` as the cluster's version after `current`: up, or one minor
 * down. Clusters of 2.x are brought to the next major version, as etcd 3.4 does; 3.5 leaves them
 * where they are for ever.
 */
export function isValidVersionChange(current: Version, next: Version): boolean {
  const [from, to] = [clusterVersionOf(current), clusterVersionOf(next)]
  const down = allowedDowngradeOf(from)
  if (down !== undefined && compareVersions(down, to) === 0) return true
  const isMajorFit = from.major === to.major || from.major <= LAST_V2_MAJOR
  return isMajorFit && compareVersions(from, to) < 0
}

/**
 * The version that the servers allow: the lowest of them. `undefined` when one is not known: then
 * nothing is decided.
 */
export function decideClusterVersion(
  servers: readonly (Version | undefined)[],
): Version | undefined {
  let lowest: Version | undefined
  for (const server of servers) {
    if (server === undefined) return undefined
    if (lowest === undefined || compareVersions(server, lowest) < 0) lowest = server
  }
  return lowest === undefined ? undefined : clusterVersionOf(lowest)
}

/**
 * What a leader should propose as the cluster's version; `undefined` = nothing. While the cluster
 * has none yet it gets what is decided or else the oldest that is supported.
 */
export function versionToPropose(options: {
  readonly current: Version | undefined
  readonly decided: Version | undefined
  readonly minimum: Version
}): Version | undefined {
  const { current, decided, minimum } = options
  if (current === undefined) return clusterVersionOf(decided ?? minimum)
  if (decided === undefined || !isValidVersionChange(current, decided)) return undefined
  return clusterVersionOf(decided)
}

/** etcd's text when this server must not run in the cluster as it is; `undefined` = it may. */
export function detectInvalidDowngrade(options: {
  readonly cluster: Version | undefined
  readonly downgrade: DowngradeInfo
  /** Default: the version this daemon answers for. */
  readonly server?: Version | undefined
}): string | undefined {
  const own = options.server ?? parseVersion(SERVER_VERSION)
  if (own === undefined) return undefined
  const server = clusterVersionOf(own)
  if (options.downgrade.isEnabled && options.downgrade.targetVersion !== '') {
    const target = parseVersion(options.downgrade.targetVersion)
    if (target !== undefined && compareVersions(server, target) === 0) return undefined
    return 'invalid downgrade; server version is not allowed to join when downgrade is enabled'
  }
  if (options.cluster !== undefined && compareVersions(server, options.cluster) < 0) {
    return 'invalid downgrade; server version is lower than determined cluster version'
  }
  return undefined
}

/**
 * The cluster versions that a server can join: `minimum` to its own, or exactly one above in a
 * downgrade.
 */
export function joinableRange(options: {
  readonly server: Version
  readonly minimum: Version
  readonly isDowngrading: boolean
}): { readonly lowest: Version; readonly highest: Version } {
  const own = clusterVersionOf(options.server)
  if (!options.isDowngrading) return { lowest: options.minimum, highest: own }
  const above = { ...own, minor: own.minor + 1 }
  return { lowest: above, highest: above }
}

/**
 * Whether a server may join: at least one of the others names a cluster version, and none names one
 * out of range. `others` are the `etcdcluster` texts of those that answered.
 */
export function isCompatibleWithCluster(
  others: readonly string[],
  range: { readonly lowest: Version; readonly highest: Version },
): boolean {
  const known = others.map(parseVersion).filter((version) => version !== undefined)
  const isInRange = (version: Version): boolean =>
    compareVersions(version, range.lowest) >= 0 && compareVersions(version, range.highest) <= 0
  return known.length > 0 && known.every(isInRange)
}
