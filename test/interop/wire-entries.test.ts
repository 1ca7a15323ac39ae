// Goal: we can read the log entries that a real etcd writes. Method: etcd 3.4 serves one of each request; its log is
// read back here, and with UPDATE_GOLDEN=1 kept for test/wire/raft-envelope.test.ts.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { WalRecord } from '../../src/wire/disk-messages.js'
import { openEntry } from '../../src/wire/raft-envelope.js'
import { Entry } from '../../src/wire/raftpb.js'
import { freePort } from './support/ports.js'

const BINARY = '/usr/bin/etcd'
const CONTROL = '/usr/bin/etcdctl'
const folder = join(import.meta.dirname, '../../.tmp/wire-entries')
const golden = join(import.meta.dirname, '../golden/wire/etcd-3.4.23-entries.txt')

/** Entry records of the first segment. */
function entriesOf(wal: string): Uint8Array[] {
  const name = readdirSync(wal).find((file) => file.endsWith('.wal')) ?? ''
  const file = readFileSync(join(wal, name))
  const entries: Uint8Array[] = []
  for (let at = 0; at + 8 <= file.length; ) {
    const padding = file.readUInt8(at + 7) & 7
    const size = file.readUIntLE(at, 6)
    if (size === 0) break
    const record = WalRecord.decode(new Uint8Array(file.subarray(at + 8, at + 8 + size)))
    if (record.type === 2 && record.data !== undefined) entries.push(record.data)
    at += 8 + size + padding
  }
  return entries
}

async function record(): Promise<Uint8Array[]> {
  const url = `http://127.0.0.1:${await freePort()}`
  const peer = `http://127.0.0.1:${await freePort()}`
  const child: ChildProcess = spawn(
    BINARY,
    [
      ...['--name', 'n1', '--data-dir', folder, '--enable-v2=true'],
      ...['--listen-client-urls', url, '--advertise-client-urls', url],
      ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
      ...['--initial-cluster', `n1=${peer}`],
    ],
    { stdio: 'ignore' },
  )
  const ended = new Promise((resolve) => child.once('exit', resolve))
  const control = (input: string, ...words: string[]): string =>
    execFileSync(CONTROL, ['--endpoints', url, ...words], {
      env: { ...process.env, ETCDCTL_API: '3' },
      input,
      stdio: ['pipe', 'pipe', 'ignore'],
    }).toString()
  try {
    for (let attempt = 0; ; attempt++) {
      const health = await fetch(`${url}/health`).catch(() => undefined)
      if (health?.status === 200) break
      if (attempt > 200) throw new Error('etcd did not become healthy')
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    control('', 'put', 'a', '1')
    control('', 'put', 'b', '2', '--prev-kv')
    control('version("a") > "0"\n\nput a 2\nget b\n\nput c 3\n\n', 'txn', '-i')
    control('', 'del', 'a', '--prefix')
    control('', 'compact', '3')
    const lease = /lease ([0-9a-f]+)/.exec(control('', 'lease', 'grant', '60'))?.[1] ?? ''
    control('', 'put', 'd', '4', '--lease', lease)
    control('', 'lease', 'revoke', lease)
    control('', 'alarm', 'disarm')
    control('', 'user', 'add', 'root:secret')
    control('', 'role', 'add', 'reader')
    control('', 'role', 'grant-permission', 'reader', 'readwrite', 'k', 'l')
    control('', 'user', 'grant-role', 'root', 'root')
    control('', 'user', 'get', 'root')
    control('', 'role', 'get', 'reader')
    control('', 'auth', 'enable')
    control('', '--user', 'root:secret', 'put', 'e', '5')
    control('', '--user', 'root:secret', 'auth', 'disable')
    await fetch(`${url}/v2/keys/v2`, { method: 'PUT', body: new URLSearchParams({ value: 'x' }) })
    await fetch(`${url}/v2/keys/v2?quorum=true`)
  } finally {
    child.kill('SIGTERM')
    await ended
  }
  return entriesOf(join(folder, 'member/wal'))
}

test.skipIf(!existsSync(BINARY))('every entry of a real log opens as what it is', async () => {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(join(folder, '..'), { recursive: true })
  const entries = await record()
  const kinds = new Set<string>()
  for (const data of entries) {
    const entry = Entry.decode(data)
    if (entry.type !== 'EntryNormal') continue
    const opened = openEntry(entry.data)
    kinds.add(opened.kind === 'v3' ? opened.operation : opened.kind)
  }
  expect(kinds).toContain('txn')
  expect(kinds).toContain('v2')
  expect(kinds).toContain('authenticate')
  expect(kinds).not.toContain('unknown')
  if (process.env.UPDATE_GOLDEN === '1') {
    mkdirSync(join(golden, '..'), { recursive: true })
    const lines = entries.map((data) => Buffer.from(data).toString('base64'))
    writeFileSync(golden, `${lines.join('\n')}\n`)
  }
  rmSync(folder, { recursive: true, force: true })
})
