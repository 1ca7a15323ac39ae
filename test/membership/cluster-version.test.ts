// Goal: who may run beside whom. Method: pairs of versions with the answer that etcd gives.
import { describe, expect, test } from 'vitest'
import {
  compareVersions,
  decideClusterVersion,
  detectInvalidDowngrade,
  formatVersion,
  isCompatibleWithCluster,
  isValidVersionChange,
  joinableRange,
  NO_DOWNGRADE,
  parseVersion,
  shortVersion,
  type Version,
  versionToPropose,
} from '../../src/membership/cluster-version.js'

function version(text: string): Version {
  const parsed = parseVersion(text)
  if (parsed === undefined) throw new Error(text)
  return parsed
}
const shown = (value: Version | undefined): string | undefined =>
  value === undefined ? undefined : formatVersion(value)

test('versions are read and written', () => {
  for (const text of ['3.5.33', '3.6.0-rc.1', '0.0.0']) expect(shown(version(text))).toBe(text)
  expect(shown(version('3.4.0+git'))).toBe('3.4.0')
  expect(shortVersion(version('3.5.0'))).toBe('3.5')
  for (const text of ['', '3.5', 'v3.5.0', '3.5.x', 'not_decided', '3.5.99999999999999999']) {
    expect(parseVersion(text)).toBeUndefined()
  }
})

test('versions are ordered by the rules of semantic versions', () => {
  const ordered =
    '3.4.33 3.5.0-alpha 3.5.0-alpha.1 3.5.0-alpha.2 3.5.0-alpha.10 3.5.0-alpha.x 3.5.0-beta 3.5.0 3.5.1 3.10.0 4.0.0'
      .split(' ')
      .map(version)
  for (const [at, a] of ordered.entries()) {
    for (const [other, b] of ordered.entries()) {
      expect(Math.sign(compareVersions(a, b))).toBe(Math.sign(at - other))
    }
  }
})

test('the lowest server decides, and nobody while one is silent', () => {
  expect(shown(decideClusterVersion(['3.5.33', '3.4.23', '3.6.0'].map(version)))).toBe('3.4.0')
  expect(decideClusterVersion([version('3.5.0'), undefined])).toBeUndefined()
  expect(decideClusterVersion([])).toBeUndefined()
})

test.each([
  ['3.4.0', '3.5.0', true],
  ['3.5.0', '3.5.9', false],
  ['3.5.0', '3.4.0', true],
  ['3.6.0', '3.4.0', false],
  ['3.5.0', '4.0.0', false],
  ['4.0.0', '3.9.0', false],
  ['2.3.0', '3.5.0', true],
  ['2.0.0', '3.4.0', true],
  ['3.0.0', '2.3.0', false],
])('the cluster may go from %s to %s: %s', (from, to, expected) => {
  expect(isValidVersionChange(version(from), version(to))).toBe(expected)
})

test('a leader proposes a first version at once and later ones when they differ', () => {
  const minimum = version('3.0.0')
  const propose = (current: string | undefined, decided: string | undefined) =>
    shown(
      versionToPropose({
        current: current === undefined ? undefined : version(current),
        decided: decided === undefined ? undefined : version(decided),
        minimum,
      }),
    )
  expect(propose(undefined, undefined)).toBe('3.0.0')
  expect(propose(undefined, '3.5.33')).toBe('3.5.0')
  expect(propose('3.4.0', '3.5.0')).toBe('3.5.0')
  expect(propose('2.3.0', '3.5.33')).toBe('3.5.0')
  expect(propose('3.5.0', '3.5.0')).toBeUndefined()
  expect(propose('3.5.0', undefined)).toBeUndefined()
})

describe('an invalid downgrade', () => {
  const server = version('3.5.33')
  const detect = (cluster: string | undefined, downgrade = NO_DOWNGRADE) =>
    detectInvalidDowngrade({
      cluster: cluster === undefined ? undefined : version(cluster),
      downgrade,
      server,
    })

  test('is a server below its cluster', () => {
    expect([detect(undefined), detect('3.4.0'), detect('3.5.0')]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
    expect(detect('3.6.0')).toBe(
      'invalid downgrade; server version is lower than determined cluster version',
    )
    expect(detectInvalidDowngrade({ cluster: version('3.5.0'), downgrade: NO_DOWNGRADE })).toBe(
      undefined,
    )
  })

  test('is a server that is not at the target of a downgrade under way', () => {
    expect(detect('3.6.0', { targetVersion: '3.5.0', isEnabled: true })).toBeUndefined()
    expect(detect('3.5.0', { targetVersion: '3.4.0', isEnabled: true })).toBe(
      'invalid downgrade; server version is not allowed to join when downgrade is enabled',
    )
  })
})

describe('joining', () => {
  const range = (isDowngrading: boolean) =>
    joinableRange({ server: version('3.5.33'), minimum: version('3.0.0'), isDowngrading })

  test.each([
    [['3.4.0'], true],
    [['3.5.0', 'not_decided'], true],
    [['3.6.0'], false],
    [['3.4.0', '3.6.0'], false],
    [['2.3.0'], false],
    [['not_decided'], false],
    [[], false],
  ])('beside %j is possible: %s', (others, expected) => {
    expect(isCompatibleWithCluster(others, range(false))).toBe(expected)
  })

  test('in a downgrade needs a cluster exactly one minor above', () => {
    expect(isCompatibleWithCluster(['3.6.0'], range(true))).toBe(true)
    expect(isCompatibleWithCluster(['3.5.0'], range(true))).toBe(false)
  })
})
