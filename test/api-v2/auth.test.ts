// Goal: users and roles are managed and enforced where the table beside etcd
// (test/interop/v2-auth-table.test.ts) cannot look: failures of the log, certificates, clients that
// leave, both lanes. Method: the API over a store without raft.
import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Access } from '../../src/api-v2/access.js'
import { AuthStore } from '../../src/api-v2/auth-store.js'
import { parseBasicAuth } from '../../src/api-v2/basic-auth.js'
import type { Requester } from '../../src/api-v2/reply.js'
import { createV2Error } from '../../src/base/v2-errors.js'
import type { CheckOutcome, HashOutcome, Passwords } from '../../src/ports/passwords.js'
import { createLocalServer, type LocalServer } from './local-server.js'
import { createStore } from './local-source.js'
import { MemoryLog } from './memory-log.js'
import { QuickPasswords } from './quick-passwords.js'

let server: LocalServer
beforeEach(async () => {
  server = await createLocalServer()
})
afterEach(() => server.app.close())

const basic = (who: string): string => `Basic ${Buffer.from(who).toString('base64')}`

interface Answer {
  readonly status: number
  readonly body: string
  readonly headers: Readonly<Record<string, unknown>>
}

async function ask(
  method: 'GET' | 'PUT' | 'POST' | 'DELETE',
  path: string,
  options: { readonly body?: object | string; readonly who?: string } = {},
): Promise<Answer> {
  const { body, who } = options
  const { statusCode, headers, payload } = await server.app.inject({
    method,
    url: path,
    headers: {
      ...(who === undefined ? {} : { authorization: basic(who) }),
      ...(typeof body === 'string' ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
    },
    ...(body === undefined
      ? {}
      : { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  return { status: statusCode, headers, body: payload }
}

const put = (path: string, body?: object, who?: string): Promise<Answer> =>
  ask('PUT', `/v2/auth${path}`, { ...(body && { body }), ...(who && { who }) })

async function enable(): Promise<void> {
  expect((await put('/users/root', { user: 'root', password: 'pr' })).status).toBe(201)
  expect((await put('/enable')).status).toBe(200)
}

describe('what is stored', () => {
  test('the first change makes the directories, each later one is one entry', async () => {
    const { source } = server
    await put('/users/u', { user: 'u', password: 'p' })
    expect(
      source.proposed.map(({ Method, Path, Dir, PrevExist }) => [Method, Path, Dir, PrevExist]),
    ).toEqual([
      ['QGET', '/2/users/u', false, undefined],
      ['PUT', '/2', true, false],
      ['PUT', '/2/users/', true, false],
      ['PUT', '/2/roles/', true, false],
      ['PUT', '/2/enabled', false, false],
      ['PUT', '/2/users/u', false, false],
    ])
    expect(source.proposed.at(-1)?.Val).toMatch(
      /^{"user":"u","password":"\$2b?\$.*","roles":null}$/,
    )
    source.proposed.length = 0
    await put('/roles/r', { role: 'r' })
    expect(source.proposed).toMatchObject([
      {
        Method: 'PUT',
        Path: '/2/roles/r',
        Val: '{"role":"r","permissions":{"kv":{"read":null,"write":null}}}',
      },
    ])
    source.proposed.length = 0
    await ask('DELETE', '/v2/auth/roles/r')
    expect(source.proposed).toMatchObject([{ Method: 'DELETE', PrevExist: true }])
  })

  test('what another member has written counts at once, and after a snapshot', async () => {
    const { source } = server
    await enable()
    expect((await ask('GET', '/v2/auth/users')).status).toBe(401)
    const taken = createStore()
    taken.recover(source.current.saveNoCopy())
    source.current = createStore()
    expect((await ask('GET', '/v2/auth/users')).status).toBe(200)
    source.current = taken
    expect((await ask('GET', '/v2/auth/users')).status).toBe(401)
    taken.set({ path: '/2/enabled', value: 'false', nowMs: 0, isDirectory: false })
    expect((await ask('GET', '/v2/auth/users')).status).toBe(200)
    taken.set({ path: '/2/enabled', value: 'yes', nowMs: 0, isDirectory: false })
    expect((await ask('GET', '/v2/auth/users')).status).toBe(200)
  })

  test('what is no user or role is an internal error to who asks for it', async () => {
    const { source } = server
    await enable()
    const options = { nowMs: 0, isDirectory: false }
    source.current.set({ ...options, path: '/2/users/odd', value: '[]' })
    source.current.set({ ...options, path: '/2/roles/odd', value: 'x' })
    const who = 'root:pr'
    for (const path of ['/users/odd', '/roles/odd', '/roles']) {
      const answer = await ask('GET', `/v2/auth${path}`, { who })
      expect(answer).toMatchObject({ status: 500, body: '{"message":"Internal Server Error"}' })
    }
    expect(server.log.lines.at(-1)).toMatchObject({ message: 'unexpected v2 response error' })
  })

  test('the store keeps count of what may have changed users and roles', () => {
    const store = createStore()
    const options = { nowMs: 0, isDirectory: false, value: '' }
    store.set({ ...options, path: '/1/2' })
    expect(store.authChanges).toBe(0)
    const counts = [
      () => store.set({ ...options, path: '/2/users/u' }),
      () => store.update({ ...options, path: '/2/users/u' }),
      () => store.delete({ path: '/2/users/u', nowMs: 0, isDirectory: false, isRecursive: false }),
      () => store.recover(createStore().saveNoCopy()),
    ].map((change) => {
      change()
      return store.authChanges
    })
    expect(counts).toEqual([1, 2, 3, 4])
    expect(store.clone().authChanges).toBe(4)
    const fresh = createStore()
    fresh.recover(createStore().saveNoCopy())
    expect(fresh.authChanges).toBe(0)
  })
})

describe('failures', () => {
  test('a log that does not commit is an internal error, its reason in the log', async () => {
    server.source.failure = 'etcdserver: request timed out'
    const answer = await put('/roles/r', { role: 'r' })
    expect(answer).toMatchObject({ status: 500, body: '{"message":"Internal Server Error"}' })
    expect(server.log.lines).toEqual([
      {
        message: 'unexpected v2 response error',
        fields: { 'internal-server-error': 'etcdserver: request timed out' },
      },
    ])
    expect((await put('/users/u', { user: 'u', grant: ['r'] })).status).toBe(500)
    // To who wants to turn it on, a root user that cannot be seen is none.
    expect((await put('/enable')).status).toBe(409)
  })

  test('what the store says beyond that is passed on', async () => {
    const { source } = server
    source.current.create({
      path: '/2',
      value: 'a file',
      nowMs: 0,
      isDirectory: false,
      isUnique: false,
    })
    const answer = await put('/users/u', { user: 'u', password: 'p' })
    const error = createV2Error(104, '/2', source.current.index)
    expect(answer.status).toBe(400)
    expect(JSON.parse(answer.body)).toEqual({
      errorCode: 104,
      message: error.message,
      cause: '/2',
      index: error.index,
    })
  })

  test('before the cluster has a version there is nothing to see', async () => {
    server.source.isDecided = false
    const answer = await ask('GET', '/v2/auth/users')
    expect(answer.status).toBe(500)
    expect(answer.body).toBe(
      '{"message":"Not capable of accessing auth feature during rolling upgrades."}',
    )
  })

  test('a password of more than 72 bytes is not taken', async () => {
    const answer = await put('/users/u', { user: 'u', password: 'x'.repeat(73) })
    expect(answer.status).toBe(500)
    expect(server.log.lines.at(-1)?.fields).toEqual({
      'internal-server-error': 'password length exceeds 72 bytes',
    })
  })

  test('a body beyond the limit is no JSON', async () => {
    const answer = await put('/users/u', { user: 'u', password: 'x'.repeat(11 << 20) })
    expect(answer).toMatchObject({
      status: 400,
      body: '{"message":"Invalid JSON in request body."}',
    })
  })
})

describe('enforcement', () => {
  test('costs nothing where there never was a user', async () => {
    await ask('PUT', '/v2/keys/a', { body: 'value=1' })
    const { current } = server.source
    expect(current.authChanges).toBe(0)
    // As with etcd each look at whether it is on would be counted.
    expect(JSON.parse(current.statisticsJson())).toMatchObject({ getsSuccess: 0, getsFail: 0 })
  })

  test('both lanes know who asks', async () => {
    await enable()
    await put('/roles/guest', { role: 'guest', revoke: { kv: { read: ['/*'] } } }, 'root:pr')
    await new Promise<void>((resolve) => server.sockets.listen(0, '127.0.0.1', resolve))
    const { port } = server.sockets.address() as AddressInfo
    const heads = [
      '',
      `authorization: ${basic('root:pr')}\r\n`,
      `AUTHORIZATION: ${basic('root:x')}\r\n`,
    ]
    const socket = connect(port, '127.0.0.1').setEncoding('latin1')
    let text = ''
    socket.on('data', (chunk: string) => {
      text += chunk
    })
    for (const head of heads) socket.write(`GET /v2/keys/ HTTP/1.1\r\nHost: x\r\n${head}\r\n`)
    while ((text.match(/HTTP\/1\.1 \d+/g) ?? []).length < heads.length) await once(socket, 'data')
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 401', 'HTTP/1.1 200', 'HTTP/1.1 401'])
    socket.destroy()
    server.sockets.close()
  })

  test.each([
    ['Node', 'Connection: close\r\n'],
    ['the fast lane', ''],
  ])('who leaves %s while the password is checked does not wait for ever', async (_name, more) => {
    await enable()
    await new Promise<void>((resolve) => server.sockets.listen(0, '127.0.0.1', resolve))
    const { port } = server.sockets.address() as AddressInfo
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    const { checkPassword } = AuthStore.prototype
    const left = new Promise<void>((resolve) => socket.once('close', () => resolve()))
    const checked = vi.spyOn(AuthStore.prototype, 'checkPassword')
    checked.mockImplementationOnce(async function (this: AuthStore, ...given) {
      socket.destroy()
      await left
      await new Promise((resolve) => setTimeout(resolve, 50))
      return checkPassword.apply(this, given)
    })
    const head = `GET /v2/keys/?wait=true HTTP/1.1\r\nHost: x\r\n${more}`
    socket.write(`${head}Authorization: ${basic('root:pr')}\r\n\r\n`)
    await left
    const connections = (): Promise<number> =>
      new Promise((resolve) => server.sockets.getConnections((_error, count) => resolve(count)))
    while ((await connections()) > 0) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(checked).toHaveBeenCalled()
    expect(server.handler.waiterCount).toBe(0)
    checked.mockRestore()
    server.sockets.close()
  })

  test('the log tells who was turned away and why', async () => {
    await enable()
    await put('/users/u', { user: 'u', password: 'p' }, 'root:pr')
    await put('/roles/guest', { role: 'guest', revoke: { kv: { read: ['/*'] } } }, 'root:pr')
    server.log.lines.length = 0
    await ask('GET', '/v2/keys/a', { who: 'root:x' })
    await ask('GET', '/v2/keys/a', { who: 'u:p' })
    await ask('GET', '/v2/keys/a', { who: 'no colon' })
    await ask('GET', '/v2/keys/a')
    await ask('DELETE', '/v2/members/abc', { who: 'u:p' })
    expect(server.log.lines).toEqual([
      { message: 'incorrect password', fields: { 'user-name': 'root' } },
      { message: 'invalid access for user on key', fields: { 'user-name': 'u', key: '/a' } },
      { message: 'malformed basic auth encoding', fields: {} },
      {
        message: 'invalid access for a guest role on key',
        fields: { 'role-name': 'guest', key: '/a' },
      },
      {
        message: 'a user does not have root role for resource',
        fields: { 'root-user': 'u', 'root-role-name': 'root', 'resource-path': '/v2/members/abc' },
      },
    ])
  })
})

describe('while too many passwords wait', () => {
  test('whoever names themselves may ask again, and guests are served', async () => {
    await enable()
    server.passwords.isBusy = true
    const who = 'root:pr'
    expect(await ask('GET', '/v2/keys/', { who })).toMatchObject({
      status: 500,
      body:
        '{"errorCode":300,"message":"Raft Internal Error",' +
        '"cause":"etcdserver: too many requests","index":0}\n',
    })
    const internal = { status: 500, body: '{"message":"Internal Server Error"}' }
    expect(await ask('GET', '/v2/auth/users', { who })).toMatchObject(internal)
    expect(await ask('DELETE', '/v2/members/1', { who })).toMatchObject(internal)
    expect(await ask('GET', '/v2/keys/')).toMatchObject({ status: 200 })
  })
})

describe('access without a server', () => {
  const key = { key: '/a', isRecursive: false, isWrite: false }

  function accessBy(options: {
    readonly passwords?: Passwords
    readonly names?: readonly string[]
  }): { access: Access; log: MemoryLog; from: (authorization: string) => Requester } {
    const log = new MemoryLog()
    const { source } = server
    const { passwords = new QuickPasswords(), names } = options
    const store = new AuthStore({ source, passwords, log })
    const certificateNames = names === undefined ? undefined : () => names
    const access = new Access({ store, log, certificateNames })
    const { socket } = server as unknown as Requester
    return { access, log, from: (authorization) => ({ authorization, socket }) }
  }

  test('everybody may do everything while it is off', async () => {
    const { access, from } = accessBy({})
    expect(await access.mayUse(from(''), key)).toBe('allowed')
    expect(await access.mayAdminister(from(''), '/')).toBe('allowed')
  })

  test('with --client-cert-auth the first name of the chain that is a user counts', async () => {
    await enable()
    const who = 'root:pr'
    await put('/roles/guest', { role: 'guest', revoke: { kv: { read: ['/*'] } } }, who)
    await put('/roles/r', { role: 'r', permissions: { kv: { read: ['/a'] } } }, who)
    await put('/users/u', { user: 'u', password: 'p', roles: ['r'] }, who)
    const may = async (
      names: readonly string[] | undefined,
      authorization = '',
    ): Promise<boolean[]> => {
      const { access, from } = accessBy(names === undefined ? {} : { names })
      const requester = from(authorization)
      const verdicts = [
        await access.mayUse(requester, key),
        await access.mayAdminister(requester, '/'),
      ]
      return verdicts.map((verdict) => verdict === 'allowed')
    }
    expect(await may(undefined)).toEqual([false, false])
    expect(await may([])).toEqual([false, false])
    expect(await may(['nobody'])).toEqual([false, false])
    expect(await may(['u'])).toEqual([true, false])
    expect(await may(['', 'nobody', 'root'])).toEqual([true, true])
    expect(await may(['u', 'root'])).toEqual([true, false])
    expect(await may(['root'], basic('u:p'))).toEqual([true, false])
    expect(await may(['root'], basic('u:x'))).toEqual([false, false])
  })

  test('a password that could not be checked is no wrong one, and the log says why', async () => {
    await enable()
    const failing = (check: CheckOutcome, hash: HashOutcome): Passwords => ({
      hash: (_password, done) => done(hash),
      check: (_hash, _password, done) => done(check),
    })
    const busy = { kind: 'busy' } as const
    const failed = { kind: 'failed', reason: 'broken' } as const
    for (const outcome of [busy, failed]) {
      const passwords = failing(outcome, outcome)
      const { access, log, from } = accessBy({ passwords })
      expect(await access.mayUse(from(basic('root:pr')), key)).toBe('overloaded')
      expect(await access.mayAdminister(from(basic('root:pr')), '/')).toBe('overloaded')
      expect(await access.mayUse(from(''), key)).toBe('allowed')
      expect(log.lines[0]).toEqual({
        message: 'failed to check a password',
        fields: {
          'user-name': 'root',
          error: outcome.kind === 'busy' ? 'too many wait' : 'broken',
        },
      })
      const store = new AuthStore({ source: server.source, passwords, log })
      const user = { user: 'new', password: 'p', roles: null, grant: null, revoke: null }
      await expect(store.createUser(user)).rejects.toMatchObject({
        problem: { reason: outcome.kind === 'busy' ? 'too many passwords wait' : 'broken' },
      })
    }
  })
})

describe('the Authorization header', () => {
  test.each([
    ['Basic dTpw', { user: 'u', password: 'p' }],
    ['bAsIc dTpw', { user: 'u', password: 'p' }],
    ['Basic dTpwOnE=', { user: 'u', password: 'p:q' }],
    ['Basic Og==', { user: '', password: '' }],
    ['Basic dcOkOvCfmIA=', { user: 'uä', password: '😀' }],
    ['Basic dTpx/w==', undefined],
    ['Basic dTpw=', undefined],
    ['Basic dTp', undefined],
    ['Basic dTp_', undefined],
    ['Basic  dTpw', undefined],
    ['Basic dQ==', undefined],
    ['Basic ', undefined],
    ['Basic', undefined],
    ['Bearer dTpw', undefined],
  ])('%s', (header, expected) => {
    expect(parseBasicAuth(header)).toEqual(expected)
  })
})
