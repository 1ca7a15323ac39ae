// Goal: the checks of a first start, with etcd's words. Method: configurations seen on etcd 3.4.23 and
// a resolver made of a table.
import { expect, test } from 'vitest'
import {
  checkInitialCluster,
  formatUrlsByName,
  type ResolveHost,
} from '../../src/config/initial-cluster.js'
import { configOf, given } from './given.js'

const P = 'http://127.0.0.1:23793'
const resolver: ResolveHost = async (hostAndPort) => {
  const [host = '', port = ''] = hostAndPort.split(':')
  if (host === 'nowhere.invalid') throw new Error('lookup nowhere.invalid: no such host')
  return `${host === 'one.test' ? '127.0.0.1' : host}:${port}`
}

async function check(cluster: string, ...more: readonly string[]): Promise<string> {
  const argv = ['--name=n', `--initial-advertise-peer-urls=${P}`, `--initial-cluster=${cluster}`]
  const outcome = await checkInitialCluster(configOf(given([...argv, ...more])), resolver)
  return outcome.kind === 'refused' ? outcome.error : formatUrlsByName(outcome.members)
}

test.each([
  [`n=${P}`, `n=${P}`],
  [`b=http://b:1,n=${P},,b=http://a:1`, `b=http://a:1,b=http://b:1,n=${P}`],
  ['n=http://one.test:23793', 'n=http://one.test:23793'],
  [
    'n=foo',
    'error setting up initial cluster: URL scheme must be http, https, unix, or unixs: foo',
  ],
  ['n', 'error setting up initial cluster: URL scheme must be http, https, unix, or unixs: '],
  [`a=${P}`, 'couldn\'t find local name "n" in the initial cluster configuration'],
  [` n = ${P} ,,`, 'couldn\'t find local name "n" in the initial cluster configuration'],
  ['', 'couldn\'t find local name "n" in the initial cluster configuration'],
  [`n=${P},b=${P}`, `initial cluster b=${P},n=${P} has duplicate url`],
  [
    `n=${P},n=http://localhost:23793`,
    `--initial-cluster has n=http://localhost:23793 but missing from --initial-advertise-peer-urls=${P} (len(["${P}"]) != len(["${P}" "http://localhost:23793"]))`,
  ],
  [
    'n=http://localhost:23793',
    `--initial-cluster has n=http://localhost:23793 but missing from --initial-advertise-peer-urls=${P} (resolved urls: "${P}" != "http://localhost:23793")`,
  ],
  [
    'n=http://nowhere.invalid:1',
    `--initial-cluster has n=http://nowhere.invalid:1 but missing from --initial-advertise-peer-urls=${P} (lookup nowhere.invalid: no such host)`,
  ],
  [
    `n=${P},n=${P}`,
    `failed to resolve ${P} to match --initial-cluster=n=${P} (len(["${P}"]) != len(["${P}" "${P}"]))`,
  ],
])('%j', async (cluster, text) => {
  expect(await check(cluster)).toBe(text)
})

test('an advertised URL that is not listed is named', async () => {
  const urls = `${P},http://127.0.0.1:23795`
  expect(await check(`n=${P}`, `--initial-advertise-peer-urls=${urls}`)).toBe(
    `--initial-advertise-peer-urls has http://127.0.0.1:23795 but missing from --initial-cluster=n=${P},n=http://127.0.0.1:23795`,
  )
})

test('joining looks at the name and at duplicates only', async () => {
  const state = '--initial-cluster-state=existing'
  expect(await check('n=http://other:1', state)).toBe('n=http://other:1')
  expect(await check('n=http://x:1,b=http://x:1', state)).toContain('has duplicate url')
})

test('a name alone makes its own cluster; the default name keeps the default text', () => {
  const text = (...argv: string[]): string => configOf(given(argv)).initialCluster.text
  expect(text('--name=n', `--initial-advertise-peer-urls=${P}`)).toBe(`n=${P}`)
  expect(text(`--initial-advertise-peer-urls=${P}`)).toBe('default=http://localhost:2380')
})
