import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  write,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { failpoint } from '../base/failpoints.js'
import type {
  Disk,
  DiskDone,
  DiskEntry,
  DiskError,
  DiskErrorCode,
  DiskFile,
  LockOutcome,
  OpenOptions,
} from '../ports/disk.js'
import { lockDescriptor } from './file-lock.js'

const FILE_MODE = 0o600
const DIRECTORY_MODE = 0o700
/** Zeros are written in pieces, so that other writes get their turn between them. */
const ZEROS_BYTES = 1024 * 1024
let zeros: Uint8Array | undefined

class FileError extends Error implements DiskError {
  override readonly name = 'DiskError'
  readonly code: DiskErrorCode
  readonly path: string

  constructor(operation: string, path: string, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    super(`${operation} ${path}: ${reason}`, { cause })
    this.code = codeOf(cause)
    this.path = path
  }
}

/** What the system says of a disk that is full. */
const noSpace = (): Error =>
  Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })

function codeOf(cause: unknown): DiskErrorCode {
  switch ((cause as NodeJS.ErrnoException | undefined)?.code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return 'NOT_FOUND'
    case 'EEXIST':
    case 'ENOTEMPTY':
      return 'EXISTS'
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return 'NO_SPACE'
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return 'DENIED'
    default:
      return 'IO'
  }
}

function attempt<Result>(operation: string, path: string, work: () => Result): Result {
  try {
    return work()
  } catch (error) {
    throw new FileError(operation, path, error)
  }
}

class NodeDiskFile implements DiskFile {
  readonly path: string
  readonly #descriptor: number
  #bytes: number

  constructor(path: string, descriptor: number, bytes: number) {
    this.path = path
    this.#descriptor = descriptor
    this.#bytes = bytes
  }

  get bytes(): number {
    return this.#bytes
  }

  write(bytes: Uint8Array, offset: number, done: DiskDone): void {
    if (failpoint('diskNoSpace')) {
      setImmediate(() => done(new FileError('write', this.path, noSpace())))
      return
    }
    write(this.#descriptor, bytes, 0, bytes.length, offset, (error, written) => {
      if (error !== null) {
        done(new FileError('write', this.path, error))
        return
      }
      this.#bytes = Math.max(this.#bytes, offset + written)
      if (written === bytes.length) done(undefined)
      else if (written === 0) done(new FileError('write', this.path, 'nothing was written'))
      else this.write(bytes.subarray(written), offset + written, done)
    })
  }

  writeSync(bytes: Uint8Array, offset: number): void {
    attempt('write', this.path, () => {
      if (failpoint('diskNoSpace')) throw noSpace()
      for (let at = 0; at < bytes.length; ) {
        const written = writeSync(this.#descriptor, bytes, at, bytes.length - at, offset + at)
        if (written === 0) throw new Error('nothing was written')
        at += written
      }
    })
    this.#bytes = Math.max(this.#bytes, offset + bytes.length)
  }

  fillZeros(start: number, end: number, done: DiskDone): void {
    zeros ??= new Uint8Array(ZEROS_BYTES)
    const bytes = Math.min(ZEROS_BYTES, end - start)
    this.write(zeros.subarray(0, bytes), start, (error) => {
      if (error !== undefined || start + bytes >= end) done(error)
      else this.fillZeros(start + bytes, end, done)
    })
  }

  truncate(bytes: number): void {
    attempt('truncate', this.path, () => ftruncateSync(this.#descriptor, bytes))
    this.#bytes = bytes
  }

  sync(): void {
    attempt('fdatasync', this.path, () => fdatasyncSync(this.#descriptor))
  }

  tryLock(): LockOutcome {
    return lockDescriptor(this.#descriptor)
  }

  close(): void {
    attempt('close', this.path, () => closeSync(this.#descriptor))
  }
}

/** The machine's files, through node:fs. */
export const nodeDisk: Disk = {
  stat(path: string): DiskEntry | undefined {
    const found = attempt('stat', path, () => statSync(path, { throwIfNoEntry: false }))
    if (found === undefined) return undefined
    return { kind: found.isDirectory() ? 'directory' : 'file', bytes: found.size }
  },

  list(directory: string): readonly string[] {
    return attempt('readdir', directory, () => readdirSync(directory)).sort()
  },

  makeDirectory(path: string): void {
    attempt('mkdir', path, () => {
      // A recursive call never comes back where the parent takes no directories, as /proc.
      const hasParent = statSync(dirname(path), { throwIfNoEntry: false }) !== undefined
      if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return
      mkdirSync(path, { recursive: !hasParent, mode: DIRECTORY_MODE })
    })
  },

  rename(from: string, to: string): void {
    attempt('rename', from, () => renameSync(from, to))
  },

  remove(path: string): void {
    attempt('unlink', path, () => unlinkSync(path))
  },

  removeTree(path: string): void {
    attempt('rm', path, () => rmSync(path, { recursive: true, force: true }))
  },

  syncDirectory(path: string): void {
    attempt('fsync', path, () => {
      const descriptor = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
      try {
        fsyncSync(descriptor)
      } finally {
        closeSync(descriptor)
      }
    })
  },

  read(path: string): Uint8Array {
    const { buffer, byteOffset, length } = attempt('read', path, () => readFileSync(path))
    return new Uint8Array(buffer, byteOffset, length)
  },

  open(path: string, { create, isDurable }: OpenOptions): DiskFile {
    const { O_RDWR, O_CREAT, O_TRUNC, O_DSYNC } = constants
    const flags = O_RDWR | (create ? O_CREAT | O_TRUNC : 0) | (isDurable ? O_DSYNC : 0)
    const descriptor = attempt('open', path, () => openSync(path, flags, FILE_MODE))
    return new NodeDiskFile(path, descriptor, fstatSync(descriptor).size)
  },
}
