// Goal: our refusals are etcd's. Method: the same bad command lines, environments and files for the etcd
// on this machine and for parseServerConfig; text and exit code must be equal. Only inputs on which
// etcd 3.4 and 3.5 agree are listed. The first three lists end etcd before it opens a port; the last one
// has it listen on ports of the system's choice on the loopback for a moment.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkInitialCluster } from '../../src/config/initial-cluster.js'
import { parseServerConfig } from '../../src/config/parse-config.js'

const ETCD = '/usr/bin/etcd'
const isMissing = !existsSync(ETCD)
const base = new URL('../../.tmp/', import.meta.url).pathname
let folder = ''

beforeAll(() => {
  mkdirSync(base, { recursive: true })
  folder = mkdtempSync(join(base, 'config-oracle-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Ending {
  readonly text: string
  readonly exitCode: number | null
}

/** What etcd said: the error field of a zap line, the text of its older logger, or the first line. */
function textOf(stderr: string): string {
  const zap = /^\{.*"error":.*$/m.exec(stderr)?.[0]
  if (zap !== undefined) return (JSON.parse(zap) as { error: string }).error
  const older = /error verifying flags, (.*)\. See 'etcd --help'\.$/m.exec(stderr)?.[1]
  const [first = ''] = stderr.split('\n', 1)
  return older ?? first.replace(/^[-0-9/]+ [0-9:.]+ (?:[A-Z] \| )?/, '')
}

function etcdEnding(argv: readonly string[], environment: Record<string, string>): Ending {
  const { status, stderr } = spawnSync(ETCD, ['--logger=zap', ...argv], {
    cwd: folder,
    env: environment,
    encoding: 'utf8',
    timeout: 10_000,
  })
  return { text: textOf(stderr), exitCode: status }
}

function ourEnding(argv: readonly string[], environment: Record<string, string>): Ending {
  const outcome = parseServerConfig(['--logger=zap', ...argv], environment, (path) =>
    readFileSync(join(folder, path), 'utf8'),
  )
  if (outcome.kind === 'run') return { text: 'runs', exitCode: null }
  const notices = outcome.kind === 'refuse' ? outcome.notices : []
  const failed = notices.find(({ fields }) => typeof fields.error === 'string')
  const text = failed === undefined ? outcome.stderr?.split('\n', 1)[0] : failed.fields.error
  return { text: String(text), exitCode: outcome.exitCode }
}

const lines: readonly (readonly string[])[] = [
  ['--foo'],
  ['--name'],
  ['---name=a'],
  ['--=a'],
  ['-'],
  ['word'],
  ['--', 'word'],
  ['--pre-vote', 'x'],
  ['--pre-vote=x'],
  ['--snapshot-count', 'abc'],
  ['--snapshot-count', '08'],
  ['--snapshot-count', '1__0'],
  ['--snapshot-count', '99999999999999999999999'],
  ['--heartbeat-interval=-1'],
  ['--heartbeat-interval=0'],
  ['--election-timeout', '0x10'],
  ['--election-timeout', '0b111'],
  ['--election-timeout=100'],
  ['--election-timeout=60000'],
  ['--backend-batch-interval', '5'],
  ['--backend-batch-interval', '1h-1m'],
  ['--backend-batch-interval', '.s'],
  ['--quota-backend-bytes=1e3'],
  ['--max-concurrent-streams=-1'],
  ['--max-concurrent-streams=4294967296'],
  ['--proxy=foo'],
  ['--initial-cluster-state=foo'],
  ['--listen-peer-urls', 'foo'],
  ['--listen-peer-urls', 'ftp://a:1'],
  ['--listen-peer-urls', 'http://a:1/x'],
  ['--listen-peer-urls', 'http://[::1:80'],
  ['--listen-peer-urls', 'http://[::1]x:80'],
  ['--listen-peer-urls', 'http://a b:80'],
  ['--listen-peer-urls', 'http://a:1%zz'],
  ['--listen-peer-urls', 'http://%zz:1'],
  ['--listen-peer-urls', 'http://%4:1'],
  ['--listen-peer-urls', 'http://a:1:2'],
  ['--listen-peer-urls', 'http://a\tb:1'],
  ['--listen-peer-urls', '127.0.0.1:1'],
  ['--listen-peer-urls', 'http:127.0.0.1:1'],
  ['--listen-peer-urls', '://a'],
  ['--listen-peer-urls', 'http://example.com:2380'],
  ['--listen-client-urls', 'http://127.0.0.1:1'],
  ['--listen-client-urls', ''],
  ['--cors', ''],
  ['--cors', '*,http://b:2'],
  ['--initial-advertise-peer-urls', 'http://:2380'],
  ['--advertise-client-urls', 'http://:2380,http://a:1'],
  ['--initial-cluster=a=http://b:1', '--discovery=http://x:1'],
  ['--discovery=http://x:1', '--discovery-srv=y'],
  ['--auto-compaction-mode=x'],
  ['--experimental-enable-lease-checkpoint-persist'],
  ['--logger=foo'],
  ['--log-outputs=default,stdout'],
  ['--log-outputs='],
  ['--config-file=missing.yml'],
]

const environments: readonly Record<string, string>[] = [
  { ETCD_ELECTION_TIMEOUT: 'x' },
  { ETCD_ELECTION_TIMEOUT: 'x', ETCD_HEARTBEAT_INTERVAL: 'y' },
  { ETCD_ENABLE_PPROF: 'yes' },
  { ETCD_LISTEN_PEER_URLS: 'foo' },
  { ETCD_CONFIG_FILE: 'missing.yml' },
]

const files: readonly string[] = [
  'name: 12',
  'name: y',
  'election-timeout: abc',
  'election-timeout: -1',
  'election-timeout: 1.5',
  'election-timeout: 010',
  'backend-batch-interval: 5s',
  'backend-batch-interval: 1.5',
  'max-concurrent-streams: 4294967296',
  'pre-vote: "true"',
  'cipher-suites: a',
  'cipher-suites: [1]',
  'name: 1\nauth-token: 2',
  'client-transport-security: {cert-file: 1}',
  'client-transport-security: 1',
  'listen-peer-urls: foo',
  'LISTEN-peer-URLS: foo',
  'advertise-client-urls: foo',
  'initial-cluster-state: foo',
  'election-timeout: 1\nelection-timeout: 2',
  'heartbeat-interval: 0',
  'logger: zap\nproxy: on',
  'logger: zap\nproxy: foo',
  '- a',
]

/** Wrong only at the start, after the listeners are open. */
const starts: readonly (readonly string[])[] = [
  ['--auto-compaction-retention=x'],
  ['--auto-compaction-retention=-1'],
  ['--auto-compaction-retention=5x'],
  ['--auto-compaction-mode=revision', '--auto-compaction-retention=x'],
  ['--cipher-suites=foo'],
  ['--cipher-suites='],
  ['--peer-cert-file=x'],
  ['--listen-client-urls=https://127.0.0.1:0'],
  ['--initial-cluster=a=http://127.0.0.1:1'],
  ['--initial-cluster='],
  ['--initial-cluster=n'],
  ['--initial-cluster=n=foo'],
  ['--initial-cluster=n=http://localhost:1'],
  ['--initial-cluster=n=http://127.0.0.1:2'],
  ['--initial-cluster=n=http://127.0.0.1:1,n=http://127.0.0.1:1'],
  ['--initial-cluster=n=http://127.0.0.1:1,n=http://127.0.0.1:2'],
  ['--initial-cluster=n=http://127.0.0.1:1,b=http://127.0.0.1:1'],
  [
    '--initial-cluster=n=http://127.0.0.1:1',
    '--initial-advertise-peer-urls=http://127.0.0.1:1,http://127.0.0.1:2',
  ],
  [
    '--initial-cluster=n=http://127.0.0.1:1,b=http://127.0.0.1:1',
    '--initial-cluster-state=existing',
  ],
]

async function ourStart(argv: readonly string[]): Promise<Ending> {
  const outcome = parseServerConfig(argv, {}, () => '')
  if (outcome.kind !== 'run') return ourEnding(argv, {})
  const check = await checkInitialCluster(outcome.config, async (host) => host)
  return check.kind === 'refused'
    ? { text: check.error, exitCode: 1 }
    : { text: 'runs', exitCode: null }
}

describe.skipIf(isMissing)(
  `same words and exit code as ${ETCD} (skipped when it is missing)`,
  () => {
    test.each(lines.map((argv) => [argv]))('command line %j', (argv) => {
      expect(ourEnding(argv, {})).toEqual(etcdEnding(argv, {}))
    })

    test.each(starts.map((argv) => [argv]))('start %j', async (argv) => {
      const around = [
        '--name=n',
        '--listen-peer-urls=http://127.0.0.1:0',
        '--listen-client-urls=http://127.0.0.1:0',
        '--advertise-client-urls=http://127.0.0.1:1',
        '--initial-advertise-peer-urls=http://127.0.0.1:1',
      ]
      const whole = around.filter((flag) => {
        return !argv.some((own) => own.split('=')[0] === flag.split('=')[0])
      })
      expect(await ourStart([...whole, ...argv])).toEqual(etcdEnding([...whole, ...argv], {}))
    })

    test.each(environments)('environment %j', (environment) => {
      expect(ourEnding([], environment)).toEqual(etcdEnding([], environment))
    })

    test.each(files)('file %j', (text) => {
      writeFileSync(join(folder, 'c.yml'), text)
      const argv = ['--config-file=c.yml']
      expect(ourEnding(argv, {})).toEqual(etcdEnding(argv, {}))
    })
  },
)
