import { rmdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Disk } from '../ports/disk.js'
import type { Log } from '../ports/log.js'

/** What a data directory belongs to. */
export type DataDirectoryKind = 'empty' | 'member' | 'proxy'

/**
 * Looks at what is in a data directory: the life that began there goes on, whatever the flags say.
 * Throws when it belongs to a member and to a proxy.
 */
export function identifyDataDirectory(disk: Disk, path: string, log: Log): DataDirectoryKind {
  if (disk.stat(path) === undefined) return 'empty'
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
  if (!isMember && !isProxy) return 'empty'
  const kind = isMember ? 'member' : 'proxy'
  log.info('server has been already initialized', { 'data-dir': path, 'dir-type': kind })
  return kind
}

/**
 * Removes the empty folders of a member that never began, so that the directory can be a proxy's.
 * Throws when there is something in them.
 */
export function forgetMember(path: string): void {
  for (const folder of [join('member', 'snap'), 'member']) rmdirSync(join(path, folder))
}
