import { dirname } from 'node:path'
import type {
  Disk,
  DiskDone,
  DiskEntry,
  DiskError,
  DiskErrorCode,
  DiskFile,
  LockOutcome,
  OpenOptions,
} from '../../src/ports/disk.js'

export function diskError(code: DiskErrorCode, path: string): DiskError {
  return Object.assign(new Error(`${code} ${path}`), { name: 'DiskError' as const, code, path })
}

interface Content {
  bytes: Uint8Array
  isLocked: boolean
}

/** Files in memory: quick, with writes that wait until told and fail when told. Nothing is lost on it. */
export class MemoryDisk implements Disk {
  readonly files = new Map<string, Content>()
  readonly directories = new Set<string>(['.', '/'])
  /** Every write, in order: where it went and how long it was. */
  readonly writes: { readonly path: string; readonly offset: number; readonly bytes: number }[] = []
  /** While true, writes wait in `held` for `release`. Fills do not. */
  isHolding = false
  readonly held: (() => void)[] = []
  /** Given to each write that starts while set. */
  failure: DiskError | undefined

  release(): void {
    for (const resume of this.held.splice(0)) resume()
  }

  content(path: string): Content {
    const content = this.files.get(path)
    if (content === undefined) throw diskError('NOT_FOUND', path)
    return content
  }

  stat(path: string): DiskEntry | undefined {
    const file = this.files.get(path)
    if (file !== undefined) return { kind: 'file', bytes: file.bytes.length }
    return this.directories.has(path) ? { kind: 'directory', bytes: 0 } : undefined
  }

  list(directory: string): readonly string[] {
    if (!this.directories.has(directory)) throw diskError('NOT_FOUND', directory)
    const all = [...this.files.keys(), ...this.directories]
    return all
      .filter((path) => path !== directory && dirname(path) === directory)
      .map((path) => path.slice(path.lastIndexOf('/') + 1))
      .sort()
  }

  makeDirectory(path: string): void {
    for (let at = path; !this.directories.has(at); at = dirname(at)) this.directories.add(at)
  }

  rename(from: string, to: string): void {
    const file = this.files.get(from)
    if (file !== undefined) {
      this.files.delete(from)
      this.files.set(to, file)
      return
    }
    if (!this.directories.delete(from)) throw diskError('NOT_FOUND', from)
    this.directories.add(to)
    for (const [path, content] of [...this.files]) {
      if (!path.startsWith(`${from}/`)) continue
      this.files.delete(path)
      this.files.set(to + path.slice(from.length), content)
    }
  }

  remove(path: string): void {
    if (!this.files.delete(path)) throw diskError('NOT_FOUND', path)
  }

  removeTree(path: string): void {
    this.directories.delete(path)
    for (const file of [...this.files.keys()]) {
      if (file === path || file.startsWith(`${path}/`)) this.files.delete(file)
    }
  }

  syncDirectory(): void {}

  read(path: string): Uint8Array {
    return this.content(path).bytes.slice()
  }

  open(path: string, { create }: OpenOptions): DiskFile {
    if (create) this.files.set(path, { bytes: new Uint8Array(0), isLocked: false })
    return new MemoryFile(this, path, this.content(path))
  }
}

class MemoryFile implements DiskFile {
  readonly path: string
  readonly #disk: MemoryDisk
  readonly #content: Content
  #isLockHolder = false

  constructor(disk: MemoryDisk, path: string, content: Content) {
    this.#disk = disk
    this.path = path
    this.#content = content
  }

  get bytes(): number {
    return this.#content.bytes.length
  }

  write(bytes: Uint8Array, offset: number, done: DiskDone): void {
    const finish = (): void => {
      const { failure } = this.#disk
      if (failure === undefined) this.writeSync(bytes, offset)
      done(failure)
    }
    if (this.#disk.isHolding) this.#disk.held.push(finish)
    else queueMicrotask(finish)
  }

  writeSync(bytes: Uint8Array, offset: number): void {
    if (this.#disk.failure !== undefined) throw this.#disk.failure
    this.#disk.writes.push({ path: this.path, offset, bytes: bytes.length })
    if (offset + bytes.length > this.bytes) this.truncate(offset + bytes.length)
    this.#content.bytes.set(bytes, offset)
  }

  fillZeros(start: number, end: number, done: DiskDone): void {
    if (end > this.bytes) this.truncate(end)
    this.#content.bytes.fill(0, start, end)
    queueMicrotask(() => done(undefined))
  }

  truncate(bytes: number): void {
    const resized = new Uint8Array(bytes)
    resized.set(this.#content.bytes.subarray(0, bytes))
    this.#content.bytes = resized
  }

  sync(): void {}

  tryLock(): LockOutcome {
    if (this.#content.isLocked) return 'held'
    this.#content.isLocked = true
    this.#isLockHolder = true
    return 'locked'
  }

  close(): void {
    if (this.#isLockHolder) this.#content.isLocked = false
  }
}
