/** Paths of the v2 tree: absolute, cleaned as Go's path.Clean does. */

/** Whether `path` is already clean, decided without splitting it: nearly all are. */
function isClean(path: string): boolean {
  if (!path.startsWith('/')) return false
  if (path.length === 1) return true
  return !path.endsWith('/') && !path.includes('//') && !path.includes('/.')
}

/** `path` made absolute, without empty, `.` and `..` elements and without a trailing slash. */
export function cleanPath(path: string): string {
  if (isClean(path)) return path
  const kept: string[] = []
  for (const element of path.split('/')) {
    if (element === '' || element === '.') continue
    if (element === '..') kept.pop()
    else kept.push(element)
  }
  return `/${kept.join('/')}`
}

/** The last element of a clean path; empty for the root. */
export const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

/** The path of `name` in the directory at `parent`. */
export const childPath = (parent: string, name: string): string =>
  parent === '/' ? `/${name}` : `${parent}/${name}`

/**
 * Whether what lies between a watched path and the path of an event has an element that begins with
 * `_`. A deleted directory may be above the watched path: then nothing is hidden.
 */
export function isHiddenBelow(watchedPath: string, eventPath: string): boolean {
  if (watchedPath.length > eventPath.length) return false
  return `/${eventPath.slice(watchedPath.length)}`.includes('/_')
}
