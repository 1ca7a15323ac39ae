/**
 * A path as Go's multiplexer wants it: without empty segments, `.` and `..`; a slash at its end is
 * kept.
 */
export function cleanPath(path: string): string {
  const kept: string[] = []
  for (const segment of path.split('/')) {
    if (segment === '..') kept.pop()
    else if (segment !== '' && segment !== '.') kept.push(segment)
  }
  const clean = `/${kept.join('/')}`
  return path.endsWith('/') && clean !== '/' ? `${clean}/` : clean
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&#34;',
  "'": '&#39;',
}

/** The page of a redirect to `location`, as Go's server writes it for GET. */
export function movedPage(location: string): string {
  const escaped = location.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? character)
  return `<a href="${escaped}">Moved Permanently</a>.\n\n`
}
