import type { ChildProcess } from 'node:child_process'
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { endingOf, spawnLogged } from './member-process.js'
import { until } from './until.js'

const run = promisify(execFile)

/** A network of its own with nothing but loopback, and a DNS server that everything inside asks. */
export class PrivateNetwork {
  readonly #server: ChildProcess

  private constructor(server: ChildProcess) {
    this.#server = server
  }

  /** `records` are options of dnsmasq, such as `--srv-host=...` and `--host-record=...`. */
  static async start(folder: string, records: readonly string[]): Promise<PrivateNetwork> {
    const resolvConf = join(folder, 'resolv.conf')
    writeFileSync(resolvConf, 'nameserver 127.0.0.1\n')
    const dnsmasq = [
      ...['dnsmasq', '--keep-in-foreground', '--conf-file=/dev/null', '--no-resolv', '--no-hosts'],
      ...['--user=root', '--pid-file=', '--log-facility=-', '--local=/test/', ...records],
    ]
    const isRoot = process.getuid?.() === 0
    const server = spawnLogged(
      [
        ...['unshare', '--net', '--mount', ...(isRoot ? [] : ['--map-root-user']), 'sh', '-c'],
        `ip link set lo up && mount --bind ${resolvConf} /etc/resolv.conf && exec "$@"`,
        ...['sh', ...dnsmasq],
      ],
      { log: join(folder, 'dnsmasq.log'), cwd: folder },
    )
    const network = new PrivateNetwork(server)
    await until('the private DNS server answers', async () => {
      const { stdout } = await network.run(['cat', '/proc/net/udp'])
      return stdout.includes(':0035 ')
    })
    return network
  }

  /** What to put in front of a command so that it runs inside. */
  get within(): readonly string[] {
    const isRoot = process.getuid?.() === 0
    return [
      ...['nsenter', '--target', String(this.#server.pid), '--net', '--mount'],
      ...(isRoot ? [] : ['--user', '--preserve-credentials']),
      '--',
    ]
  }

  /** Runs a command inside; rejects when it fails. */
  run(command: readonly string[]): Promise<{ stdout: string }> {
    const [program = '', ...args] = [...this.within, ...command]
    return run(program, args, { env: { ...process.env, ETCDCTL_API: '3' }, timeout: 20_000 })
  }

  async destroy(): Promise<void> {
    this.#server.kill('SIGKILL')
    await endingOf(this.#server)
  }
}
