import { join } from 'node:path'
import type { Disk } from '../ports/disk.js'

const FILE = 'cluster'

/**
 * What a v2 proxy keeps in `<data-dir>/proxy/cluster`: the peer URLs it found last, as JSON
 * `{"PeerURLs":[…]}`. It is replaced by a rename, so it is there whole or not at all.
 */
export class ClusterFile {
  readonly path: string
  readonly #disk: Disk
  readonly #directory: string

  /** `directory` exists. */
  constructor(disk: Disk, directory: string) {
    this.#disk = disk
    this.#directory = directory
    this.path = join(directory, FILE)
  }

  /** The URLs in the file; `undefined` = there is none. Throws when it cannot be read. */
  read(): readonly string[] | undefined {
    if (this.#disk.stat(this.path) === undefined) return undefined
    const text = Buffer.from(this.#disk.read(this.path)).toString('utf8')
    const found = JSON.parse(text) as { PeerURLs?: unknown } | null
    const urls = found?.PeerURLs ?? []
    if (!Array.isArray(urls) || !urls.every((url) => typeof url === 'string'))
      throw new Error(`${this.path} does not hold a list of peer URLs`)
    return urls
  }

  /** Durable when this returns. Throws DiskError. */
  write(peerUrls: readonly string[]): void {
    const backup = `${this.path}.bak`
    const file = this.#disk.open(backup, { create: true, isDurable: false })
    try {
      file.writeSync(Buffer.from(JSON.stringify({ PeerURLs: peerUrls })), 0)
      file.sync()
    } finally {
      file.close()
    }
    this.#disk.rename(backup, this.path)
    this.#disk.syncDirectory(this.#directory)
  }
}
