import type { Disk } from '../ports/disk.js'

const parentOf = (path: string): string => {
  const slash = path.lastIndexOf('/')
  return slash < 0 ? '.' : path.slice(0, slash) || '/'
}

/**
 * Creates a directory with its missing parents, durably: a power loss takes none of the names. A
 * directory that is not synced in its parent may vanish with everything that was made durable
 * inside. Throws DiskError.
 */
export function makeDurableDirectory(disk: Disk, path: string): void {
  if (disk.stat(path) !== undefined) return
  const parent = parentOf(path)
  if (parent !== path) makeDurableDirectory(disk, parent)
  disk.makeDirectory(path)
  disk.syncDirectory(parent)
}
