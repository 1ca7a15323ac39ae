/**
 * What every Disk keeps, whoever makes it. A disk that can lose power says so with `powerLoss`; on one that cannot,
 * those tests are skipped.
 */
import { describe, expect, test } from 'vitest'
import type { Disk, DiskError, DiskFile } from '../../src/ports/disk.js'

export interface DiskUnderTest {
  readonly disk: Disk
  /** An empty directory of the disk, durable already. */
  readonly root: string
  /** Loses everything that is not durable; open files are gone. */
  readonly powerLoss?: () => void
  /** Takes back what the test made. */
  readonly cleanUp: () => void
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const DURABLE = { create: true, isDurable: true }

const written = (file: DiskFile, text: string, offset: number): Promise<DiskError | undefined> =>
  new Promise((resolve) => file.write(bytesOf(text), offset, resolve))

const codeOf = (work: () => unknown): string | undefined => {
  try {
    work()
    return undefined
  } catch (error) {
    return (error as DiskError).code
  }
}

export function diskContract(name: string, create: () => DiskUnderTest): void {
  const onDisk = (work: (under: DiskUnderTest) => Promise<void> | void) => async () => {
    const under = create()
    try {
      await work(under)
    } finally {
      under.cleanUp()
    }
  }

  describe(`disk: ${name}`, () => {
    test(
      'a completed write is read back, and completes after the call',
      onDisk(async ({ disk, root }) => {
        const file = disk.open(`${root}/a`, DURABLE)
        let hasReturned = false
        const done = new Promise<boolean>((resolve) => {
          file.write(bytesOf('hello'), 0, (error) => resolve(error === undefined && hasReturned))
        })
        hasReturned = true
        expect(await done).toBe(true)
        expect(file.bytes).toBe(5)
        file.writeSync(bytesOf('J'), 0)
        expect(textOf(disk.read(`${root}/a`))).toBe('Jello')
        expect(Object.getPrototypeOf(disk.read(`${root}/a`))).toBe(Uint8Array.prototype)
        expect(file.path).toBe(`${root}/a`)
        file.close()
      }),
    )

    test(
      'a gap before a write reads as zeros, so do filled and extended parts',
      onDisk(async ({ disk, root }) => {
        const file = disk.open(`${root}/a`, DURABLE)
        expect(await written(file, 'x', 3)).toBeUndefined()
        expect([...disk.read(`${root}/a`)]).toEqual([0, 0, 0, 120])
        expect(await written(file, 'yyyyyy', 0)).toBeUndefined()
        await new Promise((resolve) => file.fillZeros(2, 3_000_000, resolve))
        expect(file.bytes).toBe(3_000_000)
        const content = disk.read(`${root}/a`)
        expect(textOf(content.subarray(0, 2))).toBe('yy')
        expect(content.subarray(2).every((byte) => byte === 0)).toBe(true)
        file.truncate(1)
        file.sync()
        file.truncate(4)
        expect([...disk.read(`${root}/a`)]).toEqual([121, 0, 0, 0])
        expect(file.bytes).toBe(4)
        file.close()
      }),
    )

    test(
      'opening keeps a file, creating empties it',
      onDisk(async ({ disk, root }) => {
        const first = disk.open(`${root}/a`, DURABLE)
        await written(first, 'kept', 0)
        first.close()
        const second = disk.open(`${root}/a`, { create: false, isDurable: false })
        expect(second.bytes).toBe(4)
        second.close()
        const third = disk.open(`${root}/a`, DURABLE)
        expect(third.bytes).toBe(0)
        third.close()
        expect(disk.stat(`${root}/a`)).toEqual({ kind: 'file', bytes: 0 })
      }),
    )

    test(
      'directories are listed in order, made with their parents and removed with all they hold',
      onDisk(({ disk, root }) => {
        disk.makeDirectory(`${root}/d/e`)
        disk.makeDirectory(`${root}/d/e`)
        for (const file of ['b', 'B', 'a']) disk.open(`${root}/d/${file}`, DURABLE).close()
        disk.syncDirectory(`${root}/d`)
        expect(disk.list(`${root}/d`)).toEqual(['B', 'a', 'b', 'e'])
        expect(disk.stat(`${root}/d`)?.kind).toBe('directory')
        disk.removeTree(`${root}/d`)
        disk.removeTree(`${root}/d`)
        expect(disk.stat(`${root}/d`)).toBeUndefined()
        expect(disk.list(root)).toEqual([])
      }),
    )

    test(
      'a rename replaces a file or an empty directory, and moves what a directory holds',
      onDisk(async ({ disk, root }) => {
        const file = disk.open(`${root}/a`, DURABLE)
        await written(file, 'one', 0)
        disk.open(`${root}/b`, DURABLE).close()
        disk.rename(`${root}/a`, `${root}/b`)
        await written(file, 'two', 3)
        file.close()
        expect(textOf(disk.read(`${root}/b`))).toBe('onetwo')
        disk.makeDirectory(`${root}/d`)
        disk.makeDirectory(`${root}/empty`)
        disk.rename(`${root}/b`, `${root}/d/c`)
        disk.rename(`${root}/d`, `${root}/empty`)
        expect(disk.list(root)).toEqual(['empty'])
        expect(textOf(disk.read(`${root}/empty/c`))).toBe('onetwo')
      }),
    )

    test(
      'what does not exist is NOT_FOUND, with its path',
      onDisk(({ disk, root }) => {
        const path = `${root}/none`
        expect(disk.stat(path)).toBeUndefined()
        expect(codeOf(() => disk.read(path))).toBe('NOT_FOUND')
        expect(codeOf(() => disk.list(path))).toBe('NOT_FOUND')
        expect(codeOf(() => disk.remove(path))).toBe('NOT_FOUND')
        expect(codeOf(() => disk.rename(path, `${root}/b`))).toBe('NOT_FOUND')
        expect(codeOf(() => disk.open(path, { create: false, isDurable: true }))).toBe('NOT_FOUND')
        expect(() => disk.read(path)).toThrow(path)
      }),
    )

    test(
      'a lock is held by one open file at a time, until that is closed',
      onDisk(({ disk, root }) => {
        const one = disk.open(`${root}/a`, DURABLE)
        const two = disk.open(`${root}/a`, { create: false, isDurable: false })
        const outcome = one.tryLock()
        if (outcome === 'unsupported') return
        expect(outcome).toBe('locked')
        expect(two.tryLock()).toBe('held')
        one.close()
        expect(two.tryLock()).toBe('locked')
        two.close()
      }),
    )

    test('durable writes survive a power loss, names once their directory is synced', async (t) => {
      const under = create()
      const { disk, root, powerLoss } = under
      if (powerLoss === undefined) {
        under.cleanUp()
        t.skip('this disk cannot lose power')
        return
      }
      const file = disk.open(`${root}/a`, DURABLE)
      disk.syncDirectory(root)
      await written(file, 'durable', 0)
      const lazy = disk.open(`${root}/b`, { create: true, isDurable: false })
      await written(lazy, 'synced', 0)
      lazy.sync()
      disk.syncDirectory(root)
      powerLoss()
      expect(textOf(disk.read(`${root}/a`))).toBe('durable')
      expect(textOf(disk.read(`${root}/b`))).toBe('synced')
      under.cleanUp()
    })
  })
}
