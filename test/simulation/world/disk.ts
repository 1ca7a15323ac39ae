import { copyToSlab } from '../../../src/base/slab.js'
import type {
  Disk,
  DiskDone,
  DiskEntry,
  DiskError,
  DiskErrorCode,
  DiskFile,
  LockOutcome,
  OpenOptions,
} from '../../../src/ports/disk.js'
import type { Mark } from './marks.js'
import type { Prng } from './prng.js'

const PAGE_BYTES = 4096
const SECTOR_BYTES = 512

export function diskError(code: DiskErrorCode, path: string): DiskError {
  return Object.assign(new Error(`${code} ${path}`), { name: 'DiskError' as const, code, path })
}

type Change =
  | { readonly kind: 'write'; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: 'truncate'; readonly bytes: number }

const NOTHING = new Uint8Array(0)

class Content {
  /** Shared with a clone until either changes. */
  #room: Uint8Array = NOTHING
  #isShared = false
  #length = 0

  get length(): number {
    return this.#length
  }

  copy(): Uint8Array {
    return this.#room.slice(0, this.#length)
  }

  /** Valid until the next change. */
  view(): Uint8Array {
    return this.#room.subarray(0, this.#length)
  }

  clone(): Content {
    const clone = new Content()
    this.#isShared = true
    clone.#isShared = true
    clone.#room = this.#room
    clone.#length = this.#length
    return clone
  }

  apply(change: Change): void {
    if (this.#isShared) {
      this.#room = this.#room.slice(0, this.#length)
      this.#isShared = false
    }
    if (change.kind === 'truncate') this.#resize(change.bytes)
    else {
      if (change.offset + change.bytes.length > this.#length)
        this.#resize(change.offset + change.bytes.length)
      this.#room.set(change.bytes, change.offset)
    }
  }

  #resize(length: number): void {
    if (length > this.#room.length) {
      const grown = new Uint8Array(Math.max(length, 2 * this.#room.length))
      grown.set(this.#room.subarray(0, this.#length))
      this.#room = grown
    } else if (length < this.#length) this.#room.fill(0, length, this.#length)
    this.#length = length
  }
}

/** A file: what is on the medium, what readers see, and what separates the two, oldest first. */
class FileNode {
  readonly kind = 'file'
  durable = new Content()
  cached = new Content()
  pending: Change[] = []
  /** Writes handed to the device and not completed. */
  readonly underWay = new Set<Change>()
  isLocked = false

  flush(): void {
    for (const change of this.pending) this.durable.apply(change)
    this.pending = []
  }
}

type Names = Map<string, FileNode | DirectoryNode>
interface NameChange {
  readonly remove: string | undefined
  readonly add: string | undefined
  readonly node: FileNode | DirectoryNode | undefined
}

class DirectoryNode {
  readonly kind = 'directory'
  durable: Names = new Map()
  cached: Names = new Map()
  pending: NameChange[] = []

  change(change: NameChange): void {
    this.pending.push(change)
    applyName(this.cached, change)
  }

  flush(): void {
    for (const change of this.pending) applyName(this.durable, change)
    this.pending = []
  }
}

function applyName(names: Names, { remove, add, node }: NameChange): void {
  if (remove !== undefined) names.delete(remove)
  if (add !== undefined && node !== undefined) names.set(add, node)
}

export interface DiskTiming {
  /** How long a durable write of so many bytes takes, microseconds. */
  readonly latencyUs: (bytes: number) => number
  /** Runs the completion of a write on the machine. */
  readonly complete: (delayUs: number, task: () => void) => void
}

/**
 * A disk that knows what is on the medium. A process crash keeps what was written; a power loss decides for everything
 * that was not made durable: kept, dropped, or torn by page and sector.
 */
export class SimulatedDisk implements Disk {
  readonly #timing: DiskTiming
  readonly #prng: Prng
  #root = new DirectoryNode()
  /** The next durable write fails, and what it left behind is unknown. */
  failsNextWrite = false
  /** After a failed sync readers see what the medium may not have: only a reboot ends that. */
  isDishonest = false
  /** Nothing can grow. */
  isFull = false
  /** Faults that happened, for coverage marks. */
  readonly marks = new Map<Mark, number>()
  /** Bytes made durable. */
  bytesWritten = 0
  /** How often names were made durable. */
  nameSyncs = 0

  constructor(timing: DiskTiming, prng: Prng) {
    this.#timing = timing
    this.#prng = prng
  }

  stat(path: string): DiskEntry | undefined {
    const node = this.#find(path)
    if (node === undefined) return undefined
    return { kind: node.kind, bytes: node.kind === 'file' ? node.cached.length : 0 }
  }

  list(directory: string): readonly string[] {
    return [...this.#directory(directory).cached.keys()].sort()
  }

  makeDirectory(path: string): void {
    let at = this.#root
    for (const name of partsOf(path)) {
      const found = at.cached.get(name)
      if (found?.kind === 'file') throw diskError('EXISTS', path)
      if (found === undefined) {
        const made = new DirectoryNode()
        at.change({ remove: undefined, add: name, node: made })
        at = made
      } else at = found
    }
  }

  rename(from: string, to: string): void {
    const [source, oldName] = this.#place(from)
    const [target, newName] = this.#place(to)
    const node = source.cached.get(oldName)
    if (node === undefined) throw diskError('NOT_FOUND', from)
    if (source !== target) throw diskError('IO', from)
    const there = target.cached.get(newName)
    if (there?.kind === 'directory' && there.cached.size > 0) throw diskError('EXISTS', to)
    source.change({ remove: oldName, add: newName, node })
  }

  remove(path: string): void {
    const [directory, name] = this.#place(path)
    if (directory.cached.get(name)?.kind !== 'file') throw diskError('NOT_FOUND', path)
    directory.change({ remove: name, add: undefined, node: undefined })
  }

  removeTree(path: string): void {
    const node = this.#find(path)
    if (node === undefined) return
    const [directory, name] = this.#place(path)
    directory.change({ remove: name, add: undefined, node: undefined })
  }

  syncDirectory(path: string): void {
    this.nameSyncs++
    this.#directory(path).flush()
  }

  read(path: string): Uint8Array {
    return this.#file(path).cached.copy()
  }

  open(path: string, { create, isDurable }: OpenOptions): DiskFile {
    if (create) {
      const [directory, name] = this.#place(path)
      if (this.isFull) throw diskError('NO_SPACE', path)
      directory.change({ remove: undefined, add: name, node: new FileNode() })
    }
    return this.#opened(path, this.#file(path), isDurable)
  }

  /** The process ends: writes under way were or were not taken; locks are free. */
  crash(): void {
    this.#eachFile(this.#root, (file) => {
      for (const change of file.underWay) {
        if (this.#prng.perMille(500)) continue
        // The kernel ends what it has begun, the way to the medium included.
        file.cached.apply(change)
        file.durable.apply(change)
      }
      file.underWay.clear()
      file.isLocked = false
    })
  }

  /** The machine loses power. */
  powerLoss(): void {
    this.#mark('power-loss')
    this.isDishonest = false
    this.#loseNames(this.#root)
    this.#eachFile(this.#root, (file) => {
      for (const change of file.underWay) file.pending.push(change)
      file.underWay.clear()
      file.isLocked = false
      for (const change of file.pending) this.#settle(file.durable, change)
      file.pending = []
      file.cached = file.durable.clone()
    })
  }

  /** Everything is gone: a new disk. */
  wipe(): void {
    this.#root = new DirectoryNode()
    this.isDishonest = false
  }

  /** The medium itself changes, without anybody's doing; for machines that are off. */
  overwrite(path: string, offset: number, bytes: Uint8Array): void {
    const file = this.#file(path)
    const end = Math.min(file.durable.length, offset + bytes.length)
    if (end <= offset) return
    const change: Change = { kind: 'write', offset, bytes: bytes.slice(0, end - offset) }
    file.durable.apply(change)
    file.cached.apply(change)
  }

  /** What would be found if everything that is not durable were lost now; for looking at only. */
  durableImage(): SimulatedDisk {
    const image = new SimulatedDisk(this.#timing, this.#prng)
    image.#root = durableCopy(this.#root)
    return image
  }

  /** Names in a directory that a power loss would leave; for looking at only. */
  durableNames(path: string): readonly string[] {
    const node = this.#findDurable(path)
    return node?.kind === 'directory' ? [...node.durable.keys()].sort() : []
  }

  /** What a power loss would leave of a file: a view, for looking at only. */
  durableBytes(path: string): Uint8Array | undefined {
    const node = this.#findDurable(path)
    return node?.kind === 'file' ? node.durable.view() : undefined
  }

  #findDurable(path: string): FileNode | DirectoryNode | undefined {
    let at: FileNode | DirectoryNode | undefined = this.#root
    for (const name of partsOf(path)) {
      if (at?.kind !== 'directory') return undefined
      at = at.durable.get(name)
    }
    return at
  }

  #opened(path: string, file: FileNode, isDurable: boolean): DiskFile {
    let holdsLock = false
    const write = (change: Change): void => {
      file.cached.apply(change)
      file.pending.push(change)
      if (!isDurable) return
      file.flush()
      if (change.kind === 'write') this.bytesWritten += change.bytes.length
    }
    const refusal = (end: number): DiskError | undefined => {
      if (this.isFull && end > file.cached.length) {
        this.#mark('no-space')
        return diskError('NO_SPACE', path)
      }
      if (!this.failsNextWrite) return undefined
      this.failsNextWrite = false
      this.isDishonest = true
      this.#mark('failed-sync')
      return diskError('IO', path)
    }
    const start = (bytes: Uint8Array, offset: number, done: DiskDone): void => {
      const change: Change = { kind: 'write', offset, bytes }
      file.underWay.add(change)
      this.#timing.complete(this.#timing.latencyUs(bytes.length), () => {
        if (!file.underWay.delete(change)) return
        const failure = refusal(offset + bytes.length)
        if (failure === undefined) write(change)
        else if (failure.code === 'IO') this.#settle(file.cached, change)
        done(failure)
      })
    }
    return {
      path,
      get bytes() {
        return file.cached.length
      },
      write: start,
      writeSync: (bytes, offset) => {
        const failure = refusal(offset + bytes.length)
        if (failure !== undefined) throw failure
        write({ kind: 'write', offset, bytes: copyToSlab(bytes) })
      },
      fillZeros: (from, to, done) => start(new Uint8Array(to - from), from, done),
      truncate: (bytes) => {
        const change: Change = { kind: 'truncate', bytes }
        file.cached.apply(change)
        file.pending.push(change)
      },
      sync: () => file.flush(),
      tryLock: (): LockOutcome => {
        if (file.isLocked) return 'held'
        file.isLocked = true
        holdsLock = true
        return 'locked'
      },
      close: () => {
        if (holdsLock) file.isLocked = false
      },
    }
  }

  /** Keeps, drops or tears one change that was not durable. */
  #settle(content: Content, change: Change): void {
    const fate = this.#prng.below(4)
    if (fate === 0) return
    if (fate === 1 || change.kind === 'truncate') {
      content.apply(change)
      return
    }
    this.#mark('torn-write')
    if (this.#prng.perMille(500) && change.offset + change.bytes.length > content.length) {
      this.#mark('length-extended')
      content.apply({ kind: 'truncate', bytes: change.offset + change.bytes.length })
    }
    this.#tear(content, change)
  }

  /** Some pages of a write are there, one of them only up to a sector. Bytes in one sector go together. */
  #tear(content: Content, change: Change & { kind: 'write' }): void {
    const end = change.offset + change.bytes.length
    for (let at = change.offset; at < end; ) {
      const pageEnd = Math.min(end, at - (at % PAGE_BYTES) + PAGE_BYTES)
      const fate = this.#prng.below(3)
      let until = pageEnd
      if (fate === 0) {
        this.#mark('torn-page')
        until = at
      } else if (fate === 1) {
        this.#mark('torn-sector')
        const sectors = Math.ceil((pageEnd - (at - (at % SECTOR_BYTES))) / SECTOR_BYTES)
        const kept = this.#prng.below(sectors + 1)
        until = Math.min(pageEnd, at - (at % SECTOR_BYTES) + kept * SECTOR_BYTES)
      }
      if (until > at) {
        const bytes = change.bytes.slice(at - change.offset, until - change.offset)
        content.apply({ kind: 'write', offset: at, bytes })
      }
      at = pageEnd
    }
  }

  #loseNames(directory: DirectoryNode): void {
    const kept = this.#prng.below(directory.pending.length + 1)
    const lost = directory.pending.slice(kept)
    if (lost.length > 0) this.#mark('lost-name')
    for (const change of directory.pending.slice(0, kept)) applyName(directory.durable, change)
    directory.pending = []
    directory.cached = new Map(directory.durable)
    for (const node of directory.cached.values()) {
      if (node.kind === 'directory') this.#loseNames(node)
    }
  }

  #eachFile(directory: DirectoryNode, visit: (file: FileNode) => void): void {
    for (const node of directory.cached.values()) {
      if (node.kind === 'file') visit(node)
      else this.#eachFile(node, visit)
    }
  }

  #mark(name: Mark): void {
    this.marks.set(name, (this.marks.get(name) ?? 0) + 1)
  }

  #find(path: string): FileNode | DirectoryNode | undefined {
    let at: FileNode | DirectoryNode | undefined = this.#root
    for (const name of partsOf(path)) {
      if (at?.kind !== 'directory') return undefined
      at = at.cached.get(name)
    }
    return at
  }

  #file(path: string): FileNode {
    const node = this.#find(path)
    if (node?.kind !== 'file') throw diskError('NOT_FOUND', path)
    return node
  }

  #directory(path: string): DirectoryNode {
    const node = this.#find(path)
    if (node?.kind !== 'directory') throw diskError('NOT_FOUND', path)
    return node
  }

  #place(path: string): readonly [DirectoryNode, string] {
    const parts = partsOf(path)
    const name = parts.at(-1)
    if (name === undefined) throw diskError('DENIED', path)
    return [this.#directory(parts.slice(0, -1).join('/')), name]
  }
}

/** Paths whose parts are remembered; then they are forgotten. */
const KNOWN_PATHS_MAX = 1000
const knownPaths = new Map<string, readonly string[]>()

function partsOf(path: string): readonly string[] {
  const known = knownPaths.get(path)
  if (known !== undefined) return known
  const parts = path.split('/').filter((part) => part !== '' && part !== '.')
  if (knownPaths.size >= KNOWN_PATHS_MAX) knownPaths.clear()
  knownPaths.set(path, parts)
  return parts
}

function durableCopy(directory: DirectoryNode): DirectoryNode {
  const copy = new DirectoryNode()
  for (const [name, node] of directory.durable) {
    if (node.kind === 'directory') copy.cached.set(name, durableCopy(node))
    else {
      const file = new FileNode()
      file.cached = node.durable.clone()
      copy.cached.set(name, file)
    }
  }
  return copy
}
