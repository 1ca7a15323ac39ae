// Goal: health, version, metrics and access control answer as etcd's do. Method: requests injected into fastify, with
// a member made of switches behind it; the texts were read from a running etcd.
import fastify, { type FastifyInstance, type InjectOptions } from 'fastify'
import { beforeEach, describe, expect, test } from 'vitest'
import { DaemonError, type ErrorCode } from '../../src/base/errors.js'
import { type AccessControlOptions, registerAccessControl } from '../../src/ops/access-control.js'
import type { AlarmKind } from '../../src/ops/health.js'
import {
  type OpsSource,
  registerHealthRoutes,
  registerInfoRoutes,
  versionJson,
} from '../../src/ops/routes.js'

interface Switches {
  alarms: AlarmKind[]
  hasLeader: boolean
  isLearner: boolean
  failing: Partial<Record<'linearizable' | 'serializable', ErrorCode>>
  checked: boolean[]
}

let member: Switches
let app: FastifyInstance

const source: OpsSource = {
  serverVersion: '3.5.33',
  clusterVersion: () => '3.5.0',
  activeAlarms: () => member.alarms,
  hasLeader: () => member.hasLeader,
  isLearner: () => member.isLearner,
  probeRead: async (kind) => {
    const code = member.failing[kind]
    if (code !== undefined) throw new DaemonError(code)
  },
  metricsText: async () => '# nothing\n',
  debugVars: () => ({ 'raft.status': { id: '1' } }),
  onHealthChecked: (isHealthy) => member.checked.push(isHealthy),
}

beforeEach(() => {
  member = { alarms: [], hasLeader: true, isLearner: false, failing: {}, checked: [] }
  app = fastify()
  registerHealthRoutes(app, source)
  registerInfoRoutes(app, source)
})

async function ask(
  request: InjectOptions | string,
): Promise<{ status: number; body: string; headers: Readonly<Record<string, unknown>> }> {
  const { statusCode, body, headers } = await app.inject(request)
  return { status: statusCode, body, headers }
}

describe('/health', () => {
  test('is true when a read works', async () => {
    expect(await ask('/health')).toMatchObject({
      status: 200,
      body: '{"health":"true","reason":""}',
      headers: { 'content-type': 'text/plain; charset=utf-8' },
    })
    expect(member.checked).toEqual([true])
  })

  test.each([
    'NOSPACE',
    'CORRUPT',
  ] as const)('is false under alarm %s, unless excluded', async (kind) => {
    member.alarms = [kind]
    expect(await ask('/health')).toMatchObject({
      status: 503,
      body: `{"health":"false","reason":"ALARM ${kind}"}\n`,
    })
    expect(await ask(`/health?exclude=${kind}`)).toMatchObject({ status: 200 })
    expect(await ask(`/health?exclude=NOSPACE&exclude=CORRUPT`)).toMatchObject({ status: 200 })
    expect(member.checked).toEqual([false, true, true])
  })

  test('is false without a leader, unless only this member is asked', async () => {
    member.hasLeader = false
    expect(await ask('/health')).toMatchObject({
      status: 503,
      body: '{"health":"false","reason":"RAFT NO LEADER"}\n',
    })
    expect(await ask('/health?serializable=true')).toMatchObject({ status: 200 })
  })

  test('is false with the reason why a read failed', async () => {
    member.failing = { linearizable: 'TIMEOUT' }
    expect((await ask('/health')).body).toBe(
      '{"health":"false","reason":"RANGE ERROR:etcdserver: request timed out"}\n',
    )
    expect((await ask('/health?serializable=true')).status).toBe(200)
  })

  test('knows GET only', async () => {
    for (const method of ['PUT', 'POST', 'DELETE', 'HEAD'] as const) {
      expect(await ask({ method, url: '/health' })).toMatchObject({
        status: 405,
        headers: { allow: 'GET', 'x-content-type-options': 'nosniff' },
      })
    }
    expect((await ask({ method: 'PUT', url: '/health' })).body).toBe('Method Not Allowed\n')
  })
})

describe('/livez and /readyz', () => {
  test('say ok, or each check when asked for more', async () => {
    expect(await ask('/livez')).toMatchObject({ status: 200, body: 'ok\n' })
    expect((await ask('/livez?verbose')).body).toBe('[+]serializable_read ok\nok\n')
    expect((await ask('/readyz?verbose')).body).toBe(
      '[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n' +
        '[+]non_learner ok\nok\n',
    )
  })

  test('fail with a line for each check', async () => {
    member.failing = { linearizable: 'NO_LEADER' }
    member.alarms = ['CORRUPT', 'NOSPACE']
    member.isLearner = true
    expect(await ask('/readyz')).toMatchObject({
      status: 503,
      body:
        '[-]data_corruption failed: alarm activated: CORRUPT\n[+]serializable_read ok\n' +
        '[-]linearizable_read failed: etcdserver: no leader\n' +
        '[-]non_learner failed: not supported for learner\n',
    })
    expect((await ask('/livez')).status).toBe(200)
    member.failing = { serializable: 'STOPPED' }
    expect((await ask('/livez')).status).toBe(503)
  })

  test('leave out what is excluded, and do not fail for want of space', async () => {
    member.failing = { linearizable: 'NO_LEADER' }
    member.alarms = ['NOSPACE']
    expect((await ask('/readyz?exclude=linearizable_read')).status).toBe(200)
    expect((await ask('/readyz?exclude=linearizable_read&exclude=non_learner')).body).toBe('ok\n')
  })

  test('have a page for each check', async () => {
    member.isLearner = true
    expect(await ask('/readyz/non_learner')).toMatchObject({ status: 503 })
    expect(await ask('/readyz/linearizable_read')).toMatchObject({ status: 200, body: 'ok\n' })
    expect((await ask('/livez/serializable_read?verbose')).body).toContain('[+]serializable_read')
    expect((await ask('/livez/non_learner')).status).toBe(404)
    expect((await ask({ method: 'POST', url: '/livez' })).status).toBe(405)
  })
})

describe('the other pages', () => {
  test('/version names server and cluster', async () => {
    expect(await ask('/version')).toMatchObject({
      status: 200,
      body: '{"etcdserver":"3.5.33","etcdcluster":"3.5.0"}',
    })
    expect(versionJson({ serverVersion: 'a', clusterVersion: () => 'not_decided' })).toBe(
      '{"etcdserver":"a","etcdcluster":"not_decided"}',
    )
  })

  test('/metrics is Prometheus text', async () => {
    expect(await ask('/metrics')).toMatchObject({
      body: '# nothing\n',
      headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
    })
  })

  test('/debug/vars holds the command line and what the member tells', async () => {
    const vars: unknown = JSON.parse((await ask('/debug/vars')).body)
    expect(vars).toMatchObject({ 'raft.status': { id: '1' } })
    expect(vars).toHaveProperty('cmdline')
  })
})

describe('access control', () => {
  let refused: string[]
  function guard(options: Partial<AccessControlOptions>): void {
    refused = []
    app = fastify()
    registerAccessControl(app, {
      corsOrigins: ['*'],
      hostWhitelist: ['*'],
      isSecure: false,
      onRefusedHost: (host) => refused.push(host),
      ...options,
    })
    registerHealthRoutes(app, source)
  }
  const from = (headers: Record<string, string>): InjectOptions => ({ url: '/health', headers })

  test('lets every origin read when none is named, or all are', async () => {
    for (const corsOrigins of [[], ['*'], ['http://a', '*']]) {
      guard({ corsOrigins })
      expect((await ask('/health')).headers).toMatchObject({
        'access-control-allow-methods': 'POST, GET, OPTIONS, PUT, DELETE',
        'access-control-allow-origin': '*',
        'access-control-allow-headers': 'accept, content-type, authorization',
      })
    }
  })

  test('names the origin that is allowed, and no other', async () => {
    guard({ corsOrigins: ['http://a', 'http://b'] })
    const allowed = await ask(from({ origin: 'http://b' }))
    expect(allowed.headers['access-control-allow-origin']).toBe('http://b')
    for (const headers of [{ origin: 'http://c' }, {}]) {
      const answer = await ask(from(headers as Record<string, string>))
      expect(answer.status).toBe(200)
      expect(answer.headers).not.toHaveProperty('access-control-allow-origin')
    }
  })

  test('answers OPTIONS on any path with nothing', async () => {
    guard({})
    expect(await ask({ method: 'OPTIONS', url: '/health' })).toMatchObject({
      status: 200,
      body: '',
    })
    expect(await ask({ method: 'OPTIONS', url: '/none' })).toMatchObject({ status: 200, body: '' })
  })

  test('refuses a plain request that was addressed to another host', async () => {
    guard({ hostWhitelist: ['localhost', '::1'] })
    const answer = await ask(from({ host: '127.0.0.1:2379' }))
    expect(answer.status).toBe(421)
    expect(answer.headers).toMatchObject({
      'content-type': 'text/plain; charset=utf-8',
      'x-content-type-options': 'nosniff',
      'content-length': '371',
    })
    expect(answer.headers).not.toHaveProperty('access-control-allow-origin')
    expect(answer.body).toBe(`
etcd received your request, but the Host header was unrecognized.

To fix this, choose one of the following options:
- Enable TLS, then any HTTPS request will be allowed.
- Add the hostname you want to use to the whitelist in settings.
  - e.g. etcd --host-whitelist "127.0.0.1"

This requirement has been added to help prevent "DNS Rebinding" attacks (CVE-2018-5702).

`)
    expect(refused).toEqual(['127.0.0.1'])
    expect((await ask(from({ host: 'localhost:2379' }))).status).toBe(200)
    expect((await ask(from({ host: '[::1]:2379' }))).status).toBe(200)
  })

  test('does not look at the host over TLS, or when all are allowed', async () => {
    guard({ hostWhitelist: ['localhost'], isSecure: true })
    expect((await ask(from({ host: 'evil' }))).status).toBe(200)
    for (const hostWhitelist of [[], ['*']]) {
      guard({ hostWhitelist })
      expect((await ask(from({ host: 'evil' }))).status).toBe(200)
    }
  })
})
