// Goal: unclean paths are redirected where etcd redirects them. Method: paths and what Go's multiplexer makes of them.
import { expect, test } from 'vitest'
import { cleanPath, movedPage } from '../../src/ops/clean-path.js'

test.each([
  ['/version', '/version'],
  ['//version', '/version'],
  ['/./version', '/version'],
  ['/a/../version', '/version'],
  ['/../../version', '/version'],
  ['/version/', '/version/'],
  ['/version//', '/version/'],
  ['//', '/'],
  ['/a/..', '/'],
])('%s is %s', (path, clean) => {
  expect(cleanPath(path)).toBe(clean)
})

test('the page links there, escaped', () => {
  expect(movedPage('/a?b=1&c="')).toBe('<a href="/a?b=1&amp;c=&#34;">Moved Permanently</a>.\n\n')
})
