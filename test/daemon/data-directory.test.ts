// Goal: a data directory goes on being what it was, and belongs to one owner. Method: folders with each content.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { identifyDataDirectory } from '../../src/daemon/data-directory.js'
import { nodeDisk } from '../../src/platform/disk.js'
import type { Log } from '../../src/ports/log.js'

mkdirSync('.tmp', { recursive: true })
const folder = mkdtempSync('.tmp/data-directory-')
afterAll(() => rmSync(folder, { recursive: true }))

const said: string[] = []
const say = (message: string): void => {
  said.push(message)
}
const log: Log = { isDebugEnabled: false, debug: say, info: say, warn: say, error: say }

function kindOf(name: string, ...content: readonly string[]): string {
  const path = join(folder, name)
  for (const entry of content) mkdirSync(join(path, entry), { recursive: true })
  said.length = 0
  return identifyDataDirectory(nodeDisk, path, log)
}

test('nothing there is empty', () => {
  expect(kindOf('nothing')).toBe('empty')
  expect(said).toEqual([])
})

test('what is neither is named and passed over', () => {
  expect(kindOf('other', 'fixtures')).toBe('empty')
  expect(said).toEqual(['found invalid file under data directory'])
})

test('a member stays a member, a proxy a proxy', () => {
  expect(kindOf('member', 'member')).toBe('member')
  expect(said).toEqual(['server has been already initialized'])
  expect(kindOf('proxy', 'proxy', 'fixtures')).toBe('proxy')
})

test('both is refused', () => {
  const text = 'invalid datadir; both member and proxy directories exist'
  expect(() => kindOf('both', 'member', 'proxy')).toThrow(text)
})

test('the data of a member of etcd 0.4 or 2.0 is not passed over', () => {
  expect(() => kindOf('layout-2.0', 'wal', 'snap')).toThrow(
    'has the layout of etcd 2.0 (snap, wal), which is not taken over: start etcd 2.3 on it once, ' +
      'or move snap and wal into a new folder member in it',
  )
  expect(() => kindOf('layout-0.4', 'log', 'conf', 'snapshot')).toThrow('the layout of etcd 0.4')
  expect(kindOf('wal-dir-inside', 'wal')).toBe('empty')
  expect(kindOf('moved', 'wal', 'snap', 'member')).toBe('member')
})
