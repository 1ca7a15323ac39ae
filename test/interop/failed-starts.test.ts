// Goal: an operator who makes a mistake reads what etcd would have told him. Method: the same command lines that cannot work
// for Debian's etcd and for ours, as real processes; the exit code and the last line of the log (its level, text and
// fields) must be equal. config-oracle.test.ts has those that are wrong by themselves.
import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Cluster, temporaryFolder } from './support/cluster.js'
import { programOf } from './support/member-process.js'
import { OpensslAuthority } from './support/openssl-authority.js'
import { freePort } from './support/ports.js'
import { describeWith } from './support/requirements.js'

interface Ending {
  readonly code: number | null
  readonly last: unknown
}

describeWith(['daemon', 'etcd', 'etcdctl', 'openssl'], 'a start that fails', () => {
  const folder = temporaryFolder('failed-starts')
  const ports = { client: 0, peer: 0, metrics: 0 }
  let authority: OpensslAuthority
  const pem = (name: string): string => join(folder, 'ca', name)

  beforeAll(async () => {
    for (const side of ['client', 'peer', 'metrics'] as const) ports[side] = await freePort()
    authority = new OpensslAuthority(join(folder, 'ca'))
    authority.issue('one')
    authority.issue('two')
    writeFileSync(pem('junk.pem'), 'junk')
    writeFileSync(join(folder, 'a-file'), 'x')
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))

  const flagsOf = (flag: string): string => flag.split('=')[0] ?? ''
  function end(kind: 'etcd' | 'ours', given: readonly string[]): Ending {
    const data = join(folder, 'data')
    rmSync(data, { recursive: true, force: true })
    const [client, peer] = [ports.client, ports.peer].map((port) => `http://127.0.0.1:${port}`)
    const usual = [
      ...['--logger=zap', '--name=n', '--data-dir=data', `--initial-cluster=n=${peer}`],
      ...[`--listen-client-urls=${client}`, `--advertise-client-urls=${client}`],
      ...[`--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=${peer}`],
    ].filter((flag) => !given.some((own) => flagsOf(own) === flagsOf(flag)))
    const [program = '', ...rest] = programOf(kind)
    const { status, stderr } = spawnSync(program, [...rest, ...usual, ...given], {
      ...{ cwd: folder, encoding: 'utf8', timeout: 15_000, killSignal: 'SIGKILL' },
    })
    const lines = stderr.split('\n').filter((line) => /^\{.*"(?:fatal|panic)"/.test(line))
    const { ts, caller, stacktrace, ...last } = JSON.parse(lines.at(-1) ?? '{}')
    return { code: status, last }
  }
  const expectSame = (...given: readonly string[]): void => {
    const theirs = end('etcd', given)
    expect(theirs.code).toBe(1)
    expect(end('ours', given)).toEqual(theirs)
  }

  describe('with a port that is taken', () => {
    for (const side of ['client', 'peer', 'metrics'] as const) {
      test(side, async () => {
        const sitting = await new Promise<Server>((resolve) => {
          const server = createServer().listen(ports[side], '127.0.0.1', () => resolve(server))
        })
        try {
          expectSame(`--listen-metrics-urls=http://127.0.0.1:${ports.metrics}`)
        } finally {
          await new Promise((resolve) => sitting.close(resolve))
        }
      })
    }
  })

  test.each([
    ['a-file'],
    ['a-file/data'],
    ['/proc/none/data'],
  ])('in the data directory %s', (path) => {
    expectSame(`--data-dir=${path}`)
  })

  test('with a data directory of a member and a proxy', () => {
    mkdirSync(join(folder, 'both', 'member'), { recursive: true })
    mkdirSync(join(folder, 'both', 'proxy'))
    expectSame('--data-dir=both')
  })

  describe('with files for TLS among peers', () => {
    test.each([
      ['none.pem', 'one.key'],
      ['one.pem', 'none.key'],
      ['one.pem', 'two.key'],
      ['junk.pem', 'one.key'],
      ['one.pem', 'junk.pem'],
      ['one.pem', 'one.pem'],
      ['one.key', 'one.key'],
    ])('%s and %s', (cert, key) => {
      const url = `https://127.0.0.1:${ports.peer}`
      expectSame(
        ...[`--listen-peer-urls=${url}`, `--initial-advertise-peer-urls=${url}`],
        ...[`--initial-cluster=n=${url}`],
        ...[`--peer-cert-file=${pem(cert)}`, `--peer-key-file=${pem(key)}`],
      )
    })
    test('an authority that is not there', () => {
      const url = `https://127.0.0.1:${ports.peer}`
      expectSame(
        ...[`--listen-peer-urls=${url}`, `--initial-advertise-peer-urls=${url}`],
        ...[`--initial-cluster=n=${url}`, `--peer-trusted-ca-file=${pem('none.pem')}`],
        ...[`--peer-cert-file=${pem('one.pem')}`, `--peer-key-file=${pem('one.key')}`],
      )
    })
  })

  test('into a cluster that it was not added to, or that is not there', async () => {
    const cluster = await Cluster.start({ name: 'closed', kinds: ['ours'] })
    const [member] = cluster.members
    const joining = `${cluster.initialCluster()},n=http://127.0.0.1:${ports.peer}`
    const flags = [`--initial-cluster=${joining}`, '--initial-cluster-state=existing']
    try {
      expectSame(...flags)
      expectSame(...flags.slice(1), `--initial-cluster=${cluster.initialCluster()}`)
      await member?.kill()
      expectSame(...flags)
    } finally {
      await cluster.destroy()
    }
  })
})
