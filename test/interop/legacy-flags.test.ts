// Goal: a start script of the times of etcd 2.x starts us as it started that. Method: members as real processes with the
// flags and variables of 2.x, asked through Debian's etcdctl in API 2, and command lines that 2.3.8 refused.
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { temporaryFolder } from './support/cluster.js'
import { mustEtcdctl } from './support/etcdctl.js'
import { endingOf, OURS, spawnLogged } from './support/member-process.js'
import { freePort } from './support/ports.js'
import { describeWith } from './support/requirements.js'
import { until } from './support/until.js'

describeWith(['daemon', 'etcdctl'], 'flags of etcd 2.x', () => {
  let folder = ''
  let stop: () => Promise<void> = async () => undefined
  beforeAll(() => {
    folder = temporaryFolder('legacy-flags')
  })
  afterEach(() => stop())
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  /** Starts a member and waits until `port` is served. */
  async function start(
    port: number,
    argv: readonly string[],
    environment: readonly string[] = [],
  ): Promise<void> {
    const command = ['/usr/bin/env', ...environment, ...OURS, ...argv]
    const child = spawnLogged(command, { log: join(folder, 'log'), cwd: folder })
    stop = async () => {
      child.kill('SIGKILL')
      await endingOf(child)
      rmSync(join(folder, 'data'), { recursive: true, force: true })
    }
    await until('it serves', async () => (await fetch(`http://127.0.0.1:${port}/health`)).ok)
  }

  const etcdctl = (port: number, ...args: readonly string[]): Promise<string> =>
    mustEtcdctl({ endpoints: [`http://127.0.0.1:${port}`], args, api: '2' })

  test('addresses instead of URLs, beside flags of 0.4 that mean nothing any more', async () => {
    const [client, peer] = [await freePort(), await freePort()]
    await start(client, [
      ...['-name', 'old', '-data-dir', 'data', '-addr', `127.0.0.1:${client}`],
      ...['-bind-addr', `127.0.0.1:${client}`, '-peer-addr', `127.0.0.1:${peer}`],
      ...['-peer-bind-addr', `127.0.0.1:${peer}`, '-snapshot', '-cluster-active-size=9', '-vv'],
    ])
    expect(await etcdctl(client, 'set', '/a', 'b')).toBe('b')
    expect(await etcdctl(client, 'member', 'list')).toMatch(
      new RegExp(
        `: name=old peerURLs=http://127\\.0\\.0\\.1:${peer} ` +
          `clientURLs=http://127\\.0\\.0\\.1:${client} isLeader=true$`,
      ),
    )
  })

  test('the same by variables', async () => {
    const [client, peer] = [await freePort(), await freePort()]
    const environment = [
      ...['ETCD_NAME=old', 'ETCD_DATA_DIR=data', `ETCD_ADDR=127.0.0.1:${client}`],
      ...[`ETCD_BIND_ADDR=127.0.0.1:${client}`, `ETCD_PEER_ADDR=127.0.0.1:${peer}`],
      ...[`ETCD_PEER_BIND_ADDR=127.0.0.1:${peer}`, 'ETCD_SNAPSHOT=true', 'ETCD_CONFIG=x'],
    ]
    await start(client, [], environment)
    expect(await etcdctl(client, 'set', '/a', 'b')).toBe('b')
    expect(await etcdctl(client, 'member', 'list')).toContain(
      `name=old peerURLs=http://127.0.0.1:${peer} clientURLs=http://127.0.0.1:${client} `,
    )
  })

  test('two ports for clients and two for peers, as 2379 with 4001 and 2380 with 7001 were', async () => {
    const ports = [await freePort(), await freePort(), await freePort(), await freePort()]
    const [first = 0, second = 0, ...peers] = ports
    const urls = (list: readonly number[]): string =>
      list.map((port) => `http://127.0.0.1:${port}`).join(',')
    const initial = peers.map((port) => `old=http://127.0.0.1:${port}`).join(',')
    await start(first, [
      ...['-name', 'old', '-data-dir', 'data', '-initial-cluster', initial],
      ...['-listen-client-urls', urls([first, second])],
      ...['-advertise-client-urls', urls([first, second])],
      ...['-listen-peer-urls', urls(peers), '-initial-advertise-peer-urls', urls(peers)],
    ])
    expect(await etcdctl(first, 'set', '/a', 'b')).toBe('b')
    expect(await etcdctl(second, 'get', '/a')).toBe('b')
    for (const port of peers) {
      const members = await fetch(`http://127.0.0.1:${port}/members`)
      const sorted = urls([first, second].sort((a, b) => a - b)).split(',')
      expect(await members.json()).toMatchObject([{ clientURLs: sorted }])
    }
  })

  const refused: readonly (readonly [readonly string[], readonly string[], string, number])[] = [
    [['-peers', '127.0.0.1:7001'], [], 'flag "-peers" is no longer supported.', 2],
    [['-peers-file=f'], [], 'flag "-peers-file" is no longer supported.', 2],
    [[], ['ETCD_PEERS=127.0.0.1:7001'], 'flag \\"-peers\\" is no longer supported.', 1],
    [['-addr=somewhere:4001'], [], 'bad IP in address specification', 2],
    [[], ['ETCD_PEER_ADDR=127.0.0.1:x'], 'bad port in address specification', 1],
    [
      ['-addr=127.0.0.1:1', '-listen-client-urls=http://127.0.0.1:2'],
      [],
      'Set only one of flags -listen-client-urls and -bind-addr',
      1,
    ],
  ]
  test.each(refused)('%j with %j is refused', (argv, environment, text, exitCode) => {
    const [program = '', ...words] = [...environment, ...OURS, ...argv]
    const { status, stderr } = spawnSync('/usr/bin/env', [program, ...words], {
      cwd: folder,
      env: { PATH: process.env.PATH ?? '' },
      encoding: 'utf8',
      timeout: 20_000,
    })
    expect(stderr).toContain(text)
    expect(status).toBe(exitCode)
  })
})
