/** Starts and stops the daemons under test: ours and the etcd on the machine, alike. */
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')
const scratch = join(root, '.tmp', 'bench')

export const PEER = {
  name: 'etcd',
  command: ['/usr/bin/etcd'],
  extra: ['--enable-v2=true', '--log-level=error'],
}
export const OURS = {
  name: 'ours',
  command: [process.execPath, join(root, 'bin', 'etcd')],
  extra: ['--log-level=error'],
}

async function freePort() {
  const server = createServer()
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address()
  await new Promise((done) => server.close(done))
  return port
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms))

async function untilHealthy(port, child) {
  for (let tries = 0; tries < 1200; tries++) {
    if (child.exitCode !== null) throw new Error(`the daemon ended with ${child.exitCode}`)
    const ok = await fetch(`http://127.0.0.1:${port}/health`)
      .then(async (answer) => answer.ok && (await answer.text()).includes('true'))
      .catch(() => false)
    if (ok) return
    await sleep(10)
  }
  throw new Error('the daemon did not become healthy within 12 s')
}

/** A member that runs: its ports, process and data directory. */
export async function startCluster(kind, count, { keepData = false, data, flags = [] } = {}) {
  const names = Array.from({ length: count }, (_, at) => `m${at}`)
  const ports = await Promise.all(
    names.map(async () => ({ client: await freePort(), peer: await freePort() })),
  )
  const cluster = names.map((name, at) => `${name}=http://127.0.0.1:${ports[at].peer}`).join(',')
  const startedMs = performance.now()
  const members = names.map((name, at) => {
    const directory = data ?? join(scratch, `${kind.name}-${process.pid}-${ports[at].client}`)
    if (!keepData) rmSync(directory, { recursive: true, force: true })
    mkdirSync(scratch, { recursive: true })
    const client = `http://127.0.0.1:${ports[at].client}`
    const peer = `http://127.0.0.1:${ports[at].peer}`
    const child = spawn(
      kind.command[0],
      [
        ...kind.command.slice(1),
        '--name',
        name,
        '--data-dir',
        directory,
        '--listen-client-urls',
        client,
        '--advertise-client-urls',
        client,
        '--listen-peer-urls',
        peer,
        '--initial-advertise-peer-urls',
        peer,
        '--initial-cluster',
        cluster,
        ...kind.extra,
        ...flags,
      ],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    )
    return { name, child, directory, port: ports[at].client }
  })
  try {
    for (const member of members) await untilHealthy(member.port, member.child)
  } catch (error) {
    for (const { child } of members) child.kill('SIGKILL')
    throw error
  }
  return {
    members,
    port: members[0].port,
    readyMs: performance.now() - startedMs,
    async stop({ remove = true } = {}) {
      for (const { child } of members) child.kill('SIGTERM')
      for (const { child } of members) {
        const stopped = new Promise((done) => child.once('exit', done))
        if (child.exitCode === null && child.signalCode === null) {
          const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
          await stopped
          clearTimeout(timer)
        }
      }
      if (remove)
        for (const { directory } of members) rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** Resident bytes of a process. */
export function residentBytes(pid) {
  const line = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(line[1]) * 1024
}

/** Seconds of CPU a process has used. */
export function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

export const scratchFile = (name) => {
  mkdirSync(scratch, { recursive: true })
  return join(scratch, name)
}
