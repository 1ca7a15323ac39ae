/** Goal: the machine's disk keeps the contract, and its locks are those that other programs see. */
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { nodeDisk } from '../../src/platform/disk.js'
import type { DiskError } from '../../src/ports/disk.js'
import { diskContract } from '../contract/disk.contract.js'

const newRoot = (): string => {
  mkdirSync('.tmp', { recursive: true })
  return mkdtempSync(join('.tmp', 'disk-'))
}

diskContract('node:fs', () => {
  const root = newRoot()
  return { disk: nodeDisk, root, cleanUp: () => rmSync(root, { recursive: true }) }
})

describe('the machine', () => {
  let root: string
  beforeEach(() => {
    root = newRoot()
  })
  afterEach(() => {
    rmSync(root, { recursive: true })
  })

  const hasPerl = spawnSync('perl', ['-v']).status === 0

  test.skipIf(!hasPerl)('our lock keeps other processes out until the file is closed', () => {
    const path = join(root, 'a')
    const file = nodeDisk.open(path, { create: true, isDurable: true })
    // Another process: F_OFD_SETLK (37) on an open file of its own, as etcd does it.
    const script =
      'open(F, "+<", $ARGV[0]); my $lock = pack("s s x4 q q i x4", 1, 0, 0, 0, 0);' +
      'exit(fcntl(F, 37, $lock) ? 0 : 1)'
    const otherLocks = (): boolean => spawnSync('perl', ['-e', script, path]).status === 0
    expect(otherLocks()).toBe(true)
    expect(file.tryLock()).toBe('locked')
    expect(otherLocks()).toBe(false)
    file.close()
    expect(otherLocks()).toBe(true)
  })

  test('without a tool to lock with it says that it cannot lock', () => {
    const file = nodeDisk.open(join(root, 'a'), { create: true, isDurable: true })
    const { PATH } = process.env
    process.env.PATH = root
    try {
      expect(file.tryLock()).toBe('unsupported')
    } finally {
      process.env.PATH = PATH
      file.close()
    }
  })

  test('files and directories are for the owner alone', () => {
    nodeDisk.makeDirectory(join(root, 'd'))
    nodeDisk.open(join(root, 'd', 'a'), { create: true, isDurable: false }).close()
    expect(statSync(join(root, 'd')).mode & 0o777).toBe(0o700)
    expect(statSync(join(root, 'd', 'a')).mode & 0o777).toBe(0o600)
  })

  test('a full disk is NO_SPACE, in completions and in blocking writes', async () => {
    const full = nodeDisk.open('/dev/full', { create: false, isDurable: false })
    const error = await new Promise<DiskError | undefined>((resolve) =>
      full.write(new Uint8Array(10), 0, resolve),
    )
    expect(error).toMatchObject({ name: 'DiskError', code: 'NO_SPACE', path: '/dev/full' })
    expect(() => full.writeSync(new Uint8Array(10), 0)).toThrow(/^write \/dev\/full: ENOSPC/)
    full.close()
  })

  test('what exists and what is not allowed have codes of their own', () => {
    nodeDisk.makeDirectory(join(root, 'd'))
    nodeDisk.makeDirectory(join(root, 'e', 'f'))
    const codeOf = (work: () => void): unknown => {
      try {
        work()
      } catch (error) {
        return (error as DiskError).code
      }
      return undefined
    }
    expect(codeOf(() => nodeDisk.rename(join(root, 'd'), join(root, 'e')))).toBe('EXISTS')
    expect(codeOf(() => nodeDisk.read(join(root, 'd')))).toBe('IO')
    chmodSync(join(root, 'd'), 0o500)
    if (process.getuid?.() === 0) return
    expect(codeOf(() => nodeDisk.makeDirectory(join(root, 'd', 'x')))).toBe('DENIED')
  })
})
