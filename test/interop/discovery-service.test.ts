// Goal: `etcd discovery serve` is a discovery service for members of both kinds, with a member of its own or in front of
// a cluster, and Debian's service is one for members of ours. Method: real processes; tokens made over HTTP as users do;
// the service killed and started again while a member waits; certificates from an authority that is named by the
// environment.
import type { ChildProcess } from 'node:child_process'
import { afterAll, expect, test } from 'vitest'
import { Authority } from './support/certificates.js'
import { Company, keysService, linesOf } from './support/discovery.js'
import { endingOf, OURS, spawnLogged } from './support/member-process.js'
import { freePort } from './support/ports.js'
import { describeWith } from './support/requirements.js'
import { until } from './support/until.js'

const DEBIAN_SERVICE = '/usr/bin/discovery.etcd.io'

describeWith(['daemon', 'etcd', 'etcd-discovery'], 'a discovery service', () => {
  const company = new Company('discovery-service')
  const started: ChildProcess[] = []
  afterAll(async () => {
    for (const child of started) child.kill('SIGKILL')
    await company.destroy()
  })

  function run(command: readonly string[]): ChildProcess {
    const log = `${company.folder}/service.log`
    const child = spawnLogged(command, { log, cwd: company.folder })
    started.push(child)
    return child
  }
  const makeToken = (service: string, size: number): Promise<string> =>
    until('the service makes a token', async () => {
      const answer = await fetch(`${service}/new?size=${size}`, { method: 'PUT' })
      return answer.status === 200 && (await answer.text())
    })

  test('with a member of its own, which may go away while others wait', async () => {
    const [port, client, peer] = [await freePort(), await freePort(), await freePort()]
    const command = [
      ...[...OURS, 'discovery', 'serve', '--addr', `127.0.0.1:${port}`, '--data-dir', 'service'],
      ...['--listen-client-url', `http://127.0.0.1:${client}`],
      ...['--listen-peer-url', `http://127.0.0.1:${peer}`],
    ]
    const service = run(command)
    const base = `http://127.0.0.1:${port}`
    const url = await makeToken(`http://127.0.0.1:${port}`, 3)
    expect(await (await fetch(`${base}/health`)).text()).toBe('OK')
    expect((await fetch(url)).status).toBe(200)
    expect((await fetch(url, { method: 'HEAD' })).status).toBe(405)
    const figures = await (await fetch(`${base}/metrics`)).text()
    for (const line of [
      'endpoint_new_requests_total{code="200",method="PUT"} 1',
      'endpoint_health_requests_total{code="200",method="GET"} 1',
      'endpoint_token_requests_total{code="200",method="GET"} 1',
    ])
      expect(figures).toContain(line)
    expect(figures).toMatch(/^process_resident_memory_bytes \d+$/m)
    expect(url).toMatch(new RegExp(`^http://127.0.0.1:${port}/[0-9a-f]{32}$`))
    const flags = ['--discovery', url, '--discovery-fallback=exit']
    const first = await company.start('ours', flags)
    const waiting = 'found peers from discovery server; waiting for more'
    await until('it waits', () => linesOf(first.log(), [waiting]).length > 0)
    service.kill('SIGTERM')
    const lost = 'error while waiting for peers'
    await until('it has lost the service', () => linesOf(first.log(), [lost]).length > 0)
    // It hangs up before it gives its ports and its data back.
    await endingOf(service)
    run(command)
    await until('the service is back', async () => (await fetch(`${url}/_config/size`)).ok)
    const members = [first, await company.start('etcd', flags), await company.start('ours', flags)]
    await company.healthy(members)
    const late = await company.start('ours', flags)
    expect((await late.ended()).code).toBe(1)
    await Promise.all(members.map((member) => member.kill()))
  })

  test('in front of a cluster of etcd, over TLS', async () => {
    const authority = await Authority.create(company.folder)
    const { certFile, keyFile } = await authority.issue('service')
    const port = await freePort()
    const address = `127.0.0.1:${port}`
    const cluster = await keysService(company, 'etcd')
    run([
      ...[...OURS, 'discovery', 'serve', '--addr', address, '--etcd', cluster],
      ...['--host', `https://${address}`, '--cert-file', certFile, '--key-file', keyFile],
    ])
    for (const kind of ['ours', 'etcd'] as const) {
      // The token is made on the cluster itself: this process does not trust the authority.
      const token = kind === 'ours' ? 'a'.repeat(32) : 'b'.repeat(32)
      const size = `${cluster}/v2/keys/_etcd/registry/${token}/_config/size`
      await fetch(size, { method: 'PUT', body: new URLSearchParams({ value: '1' }) })
      const member = await company.start(
        kind,
        ['--discovery', `https://${address}/${token}`],
        undefined,
        { within: ['env', `SSL_CERT_FILE=${authority.caFile}`] },
      )
      await company.healthy([member])
      await member.kill()
    }
  })

  test('of Debian, in front of a cluster of ours', async () => {
    const port = await freePort()
    const cluster = await keysService(company, 'ours')
    const service = `http://127.0.0.1:${port}`
    run([DEBIAN_SERVICE, '-e', cluster, '-h', service, '-a', `127.0.0.1:${port}`])
    const flags = ['--discovery', await makeToken(service, 2)]
    const members = [await company.start('ours', flags), await company.start('etcd', flags)]
    await company.healthy(members)
    await Promise.all(members.map((member) => member.kill()))
  })
})
