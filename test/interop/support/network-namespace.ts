import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { ROOT, spawnLogged } from './member-process.js'

/** Socket files live in this process's working folder: their whole path must stay below 108 bytes. */
const HOLDER = join(ROOT, 'test/interop/support/namespace-holder.mjs')

function outerEnd(file: string, port: number): Promise<Server> {
  const server = createServer((socket) => {
    const member = connect(port, '127.0.0.1')
    socket.on('error', () => member.destroy()).pipe(member)
    member.on('error', () => socket.destroy()).pipe(socket)
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(file, () => resolve(server))
  })
}

/** A network namespace with interfaces of its own, in which some ports of our loopback are reachable. Needs root. */
export class NetworkNamespace {
  readonly #folder: string
  readonly #holder: ChildProcess
  readonly #servers: readonly Server[]

  private constructor(folder: string, holder: ChildProcess, servers: readonly Server[]) {
    this.#folder = folder
    this.#holder = holder
    this.#servers = servers
  }

  /** `interfaces` maps names to `ADDRESS/BITS`. */
  static async create(
    options: Readonly<{
      folder: string
      ports: readonly number[]
      interfaces: Readonly<Record<string, string>>
    }>,
  ): Promise<NetworkNamespace> {
    const { folder, ports, interfaces } = options
    mkdirSync(folder, { recursive: true })
    const servers = await Promise.all(ports.map((port) => outerEnd(join(folder, `${port}`), port)))
    const words = Object.entries(interfaces).map(([name, address]) => `${name}=${address}`)
    const holder = spawn(
      '/usr/bin/unshare',
      ['--net', process.execPath, HOLDER, ...words, ...ports.map(String)],
      { cwd: folder, stdio: ['pipe', 'pipe', 'pipe'] },
    )
    const namespace = new NetworkNamespace(folder, holder, servers)
    let said = ''
    await new Promise<void>((resolve, reject) => {
      holder.stderr.on('data', (text: Buffer) => {
        said += text.toString()
      })
      holder.stdout.once('data', () => resolve())
      holder.once('error', reject)
      holder.once('exit', (code) => reject(new Error(`the namespace ended with ${code}: ${said}`)))
    })
    return namespace
  }

  #enter(): readonly string[] {
    return ['/usr/bin/nsenter', '--target', String(this.#holder.pid), '--net']
  }

  /** Starts a program inside; its output goes to `log`. */
  spawn(command: readonly string[], log: string): ChildProcess {
    return spawnLogged([...this.#enter(), ...command], { log, cwd: this.#folder })
  }

  /** The IPv4 addresses of an interface. */
  addresses(name: string): readonly string[] {
    const [program = '', ...words] = this.#enter()
    const shown = execFileSync(program, [
      ...words,
      '/usr/sbin/ip',
      '-j',
      '-4',
      'addr',
      'show',
      name,
    ])
    const [found] = JSON.parse(shown.toString()) as { addr_info: { local: string }[] }[]
    return (found?.addr_info ?? []).map(({ local }) => local)
  }

  /** The namespace and its interfaces go with the last process in it. */
  destroy(): void {
    this.#holder.removeAllListeners('exit')
    this.#holder.kill('SIGKILL')
    for (const server of this.#servers) server.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
