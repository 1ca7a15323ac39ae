// Goal: GOFAIL_HTTP and GOFAIL_FAILPOINTS work as with a gofail build of etcd, so that its tests can drive this daemon.
// Method: the server in this process, asked over HTTP; a panic is tried on a daemon in test/crash.
import { readdirSync, readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import {
  disarmFailpoint,
  FAILPOINT_NAMES,
  failpoint,
  failpointStatus,
} from '../../src/base/failpoints.js'
import { installFailpoints } from '../../src/platform/failpoint-server.js'

let server: Server | undefined
afterEach(async () => {
  for (const name of FAILPOINT_NAMES) disarmFailpoint(name)
  server?.closeAllConnections()
  await new Promise((resolve) => (server === undefined ? resolve(0) : server.close(resolve)))
  server = undefined
})

async function started(failpoints = ''): Promise<string> {
  const environment = { GOFAIL_HTTP: '127.0.0.1:0', GOFAIL_FAILPOINTS: failpoints }
  server = await installFailpoints(environment)
  return `http://127.0.0.1:${(server?.address() as AddressInfo).port}`
}

async function ask(url: string, method = 'GET', body?: string): Promise<readonly [number, string]> {
  const response = await fetch(url, { method, ...(body === undefined ? {} : { body }) })
  return [response.status, await response.text()]
}

test('without the variables there is nothing', async () => {
  expect(await installFailpoints({})).toBeUndefined()
  expect(await installFailpoints({ GOFAIL_HTTP: '', GOFAIL_FAILPOINTS: '' })).toBeUndefined()
})

test('a failpoint is set, asked, counted and deleted', async () => {
  const url = await started()
  const point = `${url}/raftDropHeartbeat`
  expect(await ask(point)).toEqual([404, 'failed to GET: failpoint: failpoint is disabled\n'])
  expect(await ask(`${point}/count`)).toEqual([
    500,
    'failed to GET: failpoint: failpoint is disabled\n',
  ])
  expect(await ask(point, 'PUT', '2*return')).toEqual([204, ''])
  expect(await ask(point)).toEqual([200, '2*return\n'])
  expect([1, 2, 3].map(() => failpoint('raftDropHeartbeat'))).toEqual([true, true, false])
  expect(await ask(`${point}/count`)).toEqual([200, '2'])
  expect(await ask(point, 'DELETE')).toEqual([204, ''])
  expect(await ask(point, 'DELETE')).toEqual([
    400,
    'failed to delete failpoint failpoint: failpoint is disabled\n',
  ])
})

test('the list has every name, with its terms when it is armed', async () => {
  const url = await started('walBeforeSync=off;;unknown=panic')
  const [status, text] = await ask(`${url}/`)
  expect(status).toBe(200)
  const lines = text.split('\n').slice(0, -1)
  expect(lines).toEqual(
    [...FAILPOINT_NAMES].map((name) => `${name}=${name === 'walBeforeSync' ? 'off' : ''}`).sort(),
  )
})

test('many are set at once, and what is wrong is said', async () => {
  const url = await started()
  expect(await ask(`${url}/failpoints`, 'PUT', 'walAfterSync=off;beforeCommit=print')).toEqual([
    204,
    '',
  ])
  expect(failpointStatus('beforeCommit')).toMatchObject({ kind: 'armed', text: 'print' })
  expect(await ask(`${url}/failpoints`, 'PUT', 'walAfterSync')).toEqual([
    400,
    'fail to parse failpoint: bad failpoint "walAfterSync"\n',
  ])
  expect(await ask(`${url}/nowhere`, 'PUT', 'off')).toEqual([
    400,
    'fail to set failpoint: failpoint: failpoint does not exist\n',
  ])
  expect(await ask(`${url}/walAfterSync`, 'PUT', 'boom')).toEqual([
    400,
    'fail to set failpoint: failpoint: could not parse terms\n',
  ])
  expect(await ask(`${url}/walAfterSync`, 'PUT', 'x'.repeat(300_000))).toEqual([
    400,
    'failed ReadAll in PUT\n',
  ])
  expect(await ask(`${url}/nowhere`)).toEqual([
    404,
    'failed to GET: failpoint: failpoint does not exist\n',
  ])
  const post = await fetch(`${url}/walAfterSync`, { method: 'POST' })
  expect([post.status, post.headers.get('allow')]).toEqual([405, 'PUT'])
})

test('what the environment cannot mean is refused', async () => {
  await expect(installFailpoints({ GOFAIL_FAILPOINTS: 'a=b=c' })).rejects.toThrow(
    'fail to parse failpoint: bad failpoint "a=b=c"',
  )
  await expect(installFailpoints({ GOFAIL_HTTP: 'nowhere' })).rejects.toThrow('missing port')
  const taken = createServer()
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  const { port } = taken.address() as AddressInfo
  await expect(installFailpoints({ GOFAIL_HTTP: `127.0.0.1:${port}` })).rejects.toThrow(
    'EADDRINUSE',
  )
  taken.close()
})

test('every name stands somewhere in the source, and in the docs', () => {
  const root = new URL('../../', import.meta.url).pathname
  const source = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('base/failpoints.ts'))
    .map((name) => readFileSync(join(root, 'src', name), 'utf8'))
    .join('\n')
  const docs = readFileSync(join(root, 'docs/operations.md'), 'utf8')
  for (const name of FAILPOINT_NAMES) {
    expect(source, name).toContain(`'${name}'`)
    expect(docs, name).toContain(`\`${name}\``)
  }
})
