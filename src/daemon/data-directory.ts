import { closeSync, openSync, rmdirSync, statSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { nodeDisk } from '../platform/disk.js'
import type { Disk } from '../ports/disk.js'
import type { Log } from '../ports/log.js'
import { makeDurableDirectory } from './durable-directory.js'

/** What is in the place of a data directory cannot be listed. */
export class NoDirectory extends Error {
  override readonly name = 'NoDirectory'
}

/** What a data directory belongs to. */
export type DataDirectoryKind = 'empty' | 'member' | 'proxy'

/** Throws when what should be a parent is a file. */
function entryKind(disk: Disk, path: string): 'directory' | 'file' | undefined {
  try {
    return disk.stat(path)?.kind
  } catch (error) {
    if (codeOf(error) === 'ENOTDIR') throw new NoDirectory(`open ${path}: not a directory`)
    throw error
  }
}

/** The system's code behind a failure of the disk. */
const codeOf = (error: unknown): string | undefined =>
  error instanceof Error ? (error.cause as NodeJS.ErrnoException | undefined)?.code : undefined

/** What members of etcd 0.4 and 2.0 had directly in their data directory, and what to do then. */
const OLD_LAYOUTS = [
  {
    version: '2.0',
    names: ['snap', 'wal'],
    remedy: 'start etcd 2.3 on it once, or move snap and wal into a new folder member in it',
  },
  {
    version: '0.4',
    names: ['conf', 'log', 'snapshot'],
    remedy: 'migrate it with etcd-migrate of etcd 2.0, then start etcd 2.3 on it once',
  },
] as const

/**
 * Looks at what is in a data directory: the life that began there goes on, whatever the flags say.
 * Throws when it belongs to a member and to a proxy, or to a member of an etcd so old that a new
 * member would begin beside its data.
 */
export function identifyDataDirectory(disk: Disk, path: string, log: Log): DataDirectoryKind {
  const kindOfEntry = entryKind(disk, path)
  if (kindOfEntry === undefined) return 'empty'
  if (kindOfEntry === 'file') throw new NoDirectory(`readdirent ${path}: not a directory`)
  const names = disk.list(path)
  for (const name of names) {
    if (name !== 'member' && name !== 'proxy') {
      const fields = { filename: name, 'data-dir': path }
      log.warn('found invalid file under data directory', fields)
    }
  }
  const isMember = names.includes('member')
  const isProxy = names.includes('proxy')
  if (isMember && isProxy)
    throw new Error('invalid datadir; both member and proxy directories exist')
  if (!isMember && !isProxy) {
    const old = OLD_LAYOUTS.find((layout) => layout.names.every((name) => names.includes(name)))
    if (old === undefined) return 'empty'
    throw new Error(
      `data directory ${path} has the layout of etcd ${old.version} ` +
        `(${old.names.join(', ')}), which is not taken over: ${old.remedy}`,
    )
  }
  const kind = isMember ? 'member' : 'proxy'
  log.info('server has been already initialized', { 'data-dir': path, 'dir-type': kind })
  return kind
}

/** The system's reasons in the words that operators of etcd know. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  ENOTDIR: 'not a directory',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EROFS: 'read-only file system',
}
const PRIVATE_MODE = 0o700
const PERMISSIONS = 0o777

function accessError(operation: string, path: string, cause: unknown): Error {
  const { code = '', message } = cause as NodeJS.ErrnoException
  const reason = REASONS[code] ?? message
  return new Error(`cannot access data directory: ${operation} ${path}: ${reason}`, { cause })
}

/** As `ls` shows it, without the kind. */
function modeText(mode: number): string {
  const letters = 'rwxrwxrwx'
  return [...letters].map((letter, at) => ((mode >> (8 - at)) & 1 ? letter : '-')).join('')
}

/**
 * Makes the data directory, or sees whether it can be written in. Throws with etcd's words when
 * not; warns when others than the owner may look into it.
 */
export function touchDataDirectory(path: string, log: Log): void {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined) {
    try {
      makeDurableDirectory(nodeDisk, path)
    } catch (error) {
      const { cause, path: where = path } = error as Error & { readonly path?: string }
      throw accessError('mkdir', where, cause)
    }
  } else if ((found.mode & PERMISSIONS) !== PRIVATE_MODE) {
    const error =
      `directory ${JSON.stringify(path)} exist, but the permission is ` +
      `"d${modeText(found.mode)}". The recommended permission is "-rwx------" to prevent ` +
      'possible unprivileged access to the data'
    log.warn('check file permission', { error })
  }
  const probe = join(path, '.touch')
  try {
    closeSync(openSync(probe, 'w', 0o600))
    unlinkSync(probe)
  } catch (error) {
    throw accessError('open', probe, error)
  }
}

/**
 * Removes the empty folders of a member that never began, so that the directory can be a proxy's.
 * Throws when there is something in them.
 */
export function forgetMember(path: string): void {
  for (const folder of [join('member', 'snap'), 'member']) rmdirSync(join(path, folder))
}
