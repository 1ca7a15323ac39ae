// Goal: a v2 proxy finds its cluster again after a restart. Method: the file in a temporary folder, on the real disk.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { nodeDisk } from '../../src/platform/disk.js'
import { ClusterFile } from '../../src/proxy/cluster-file.js'

mkdirSync('.tmp', { recursive: true })
const folder = mkdtempSync('.tmp/cluster-file-')
const file = new ClusterFile(nodeDisk, folder)
afterAll(() => rmSync(folder, { recursive: true }))

test('is not there at first', () => {
  expect(file.read()).toBeUndefined()
})

test('holds what was written last, in the form of etcd, and leaves nothing beside it', () => {
  file.write(['http://a:1', 'http://b:1', 'http://c:1'])
  file.write(['http://a:1'])
  expect(readFileSync(join(folder, 'cluster'), 'utf8')).toBe('{"PeerURLs":["http://a:1"]}')
  expect(file.read()).toEqual(['http://a:1'])
  expect(readdirSync(folder)).toEqual(['cluster'])
})

test('an empty list is null to Go', () => {
  writeFileSync(file.path, '{"PeerURLs":null}')
  expect(file.read()).toEqual([])
})

test.each(['', '{', '{"PeerURLs":[1]}', '{"PeerURLs":"x"}'])('%j is refused', (text) => {
  writeFileSync(file.path, text)
  expect(() => file.read()).toThrow()
})
