import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Cluster } from '../interop/support/cluster.js'
import type { MemberOptions, MemberProcess } from '../interop/support/member-process.js'
import { freePort } from '../interop/support/ports.js'
import { PeerProxy } from './peer-proxy.js'

/** Lets a process believe in another wall clock (Debian's `faketime`); the monotonic one stays. */
const FAKE_TIME = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu']
  .map((folder) => `${folder}/faketime/libfaketimeMT.so.1`)
  .find(existsSync)
/** Size of the file system that can be filled up, in bytes. */
const SMALL_DISK_BYTES = 300 * 1024 * 1024
const MEMBERS = 3
const FLAGS = [
  ...['--snapshot-count', '300', '--experimental-snapshot-catchup-entries', '20'],
  ...['--experimental-compaction-batch-limit', '1'],
]

/** What can be done to one member from outside. */
interface Handles {
  readonly failpoints: string
  readonly clockFile: string
}

/** Three members that everything can be done to: network, disk, clock, signals, failpoints. */
export class Arena {
  readonly proxy = new PeerProxy()
  readonly #handles = new Map<string, Handles>()
  #cluster: Cluster | undefined
  /** Where a small file system is mounted. */
  #mounted: string | undefined
  /** The member whose data is on a file system that can be filled up; undefined where nobody may mount one. */
  smallDiskMember: string | undefined

  static async start(name: string): Promise<Arena> {
    const arena = new Arena()
    try {
      arena.#cluster = await Cluster.start({
        name,
        kinds: Array.from({ length: MEMBERS }, () => 'ours' as const),
        flags: FLAGS,
        adapt: (options) => arena.#adapt(options),
      })
    } catch (error) {
      await arena.destroy()
      throw error
    }
    await arena.learnIds()
    return arena
  }

  static get canStepClocks(): boolean {
    return FAKE_TIME !== undefined
  }

  get cluster(): Cluster {
    if (this.#cluster === undefined) throw new Error('the arena was started')
    return this.#cluster
  }

  async #adapt(options: MemberOptions): Promise<MemberOptions> {
    const target = await freePort()
    const listen = Number(new URL(options.peerUrl).port)
    await this.proxy.open(options.name, { listen, target })
    const failpoints = `127.0.0.1:${await freePort()}`
    const clockFile = join(options.folder, 'clock')
    writeFileSync(clockFile, '+0\n')
    this.#handles.set(options.name, { failpoints: `http://${failpoints}`, clockFile })
    if (this.#handles.size === MEMBERS) this.#maybeMount(options)
    const fakeTime = {
      LD_PRELOAD: FAKE_TIME ?? '',
      FAKETIME_TIMESTAMP_FILE: clockFile,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    }
    return {
      ...options,
      listenPeerUrl: `http://127.0.0.1:${target}`,
      environment: { GOFAIL_HTTP: failpoints, ...(Arena.canStepClocks ? fakeTime : {}) },
    }
  }

  /** A file system of its own in a file, for root; it is on the disk like everything else. */
  #maybeMount({ folder, name }: MemberOptions): void {
    const image = join(folder, 'image')
    const target = join(folder, 'data')
    try {
      writeFileSync(image, '')
      truncateSync(image, SMALL_DISK_BYTES)
      mkdirSync(target, { mode: 0o700 })
      execFileSync('mkfs.ext4', ['-q', '-F', '-m', '0', image], { stdio: 'ignore' })
      execFileSync('mount', ['-o', 'loop', image, target], { stdio: 'ignore' })
      this.#mounted = target
      // Nothing stays mounted when the run is broken off.
      process.once('exit', () => this.#unmount())
      this.smallDiskMember = name
    } catch {
      // Not root, or no loop devices here: a failpoint takes its place.
    }
  }

  #unmount(): void {
    const mounted = this.#mounted
    this.#mounted = undefined
    if (mounted !== undefined) execFileSync('umount', [mounted], { stdio: 'ignore' })
  }

  /** Members say who they are by their ids, which change when one is added again. */
  async learnIds(): Promise<void> {
    for (const { id, name } of await this.cluster.memberList()) this.proxy.name(name, id)
  }

  handles({ name }: MemberProcess): Handles {
    const found = this.#handles.get(name)
    if (found === undefined) throw new Error(`no member ${name}`)
    return found
  }

  /** Arms a failpoint, or with no terms disarms it. False when the member did not answer. */
  async failpoint(member: MemberProcess, name: string, terms?: string): Promise<boolean> {
    const url = `${this.handles(member).failpoints}/${name}`
    const request = terms === undefined ? { method: 'DELETE' } : { method: 'PUT', body: terms }
    try {
      const { status } = await fetch(url, request)
      return status === 204
    } catch {
      return false
    }
  }

  setClock(member: MemberProcess, offsetSeconds: number): void {
    const sign = offsetSeconds < 0 ? '-' : '+'
    writeFileSync(this.handles(member).clockFile, `${sign}${Math.abs(offsetSeconds)}\n`)
  }

  async destroy(): Promise<void> {
    this.proxy.close()
    const { members = [] } = this.#cluster ?? {}
    await Promise.all(members.map((member) => member.kill()))
    this.#unmount()
    await this.#cluster?.destroy()
  }
}
