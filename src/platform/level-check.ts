import {
  closeSync,
  copyFileSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Log } from '../ports/log.js'
import { checkTable, type Damage, readManifest, scanLog } from './level-format.js'

/** The store cannot be opened without losing something: the message says where and why. */
export class StoreDamaged extends Error {
  override readonly name = 'StoreDamaged'

  constructor(path: string, { offset, why }: Damage) {
    super(`store: ${path} at offset ${offset}: ${why}`)
  }
}

/** A table as it is on disk. */
export interface TableFile {
  readonly path: string
  readonly bytes: number
}

const CURRENT = 'CURRENT'
const LOG = /^(\d+)\.log$/
const TABLE = /^(\d+)\.(?:ldb|sst)$/

/**
 * Looks at a LevelDB directory before it is opened, because LevelDB itself leaves out what it
 * cannot read in its log and goes on behind it, begins anew where its list of files is gone, and
 * does not verify its tables. Throws StoreDamaged for damage that cannot be undone. A log is cut at
 * its first damaged record, and what came behind is kept aside: what is left is the state after an
 * earlier entry, from which the write-ahead log is played again. Returns the tables, whose content
 * is still to be verified.
 */
export function checkLevelDirectory(directory: string, log?: Log): readonly TableFile[] {
  const names = listed(directory)
  const files = names.filter((name) => LOG.test(name) || TABLE.test(name))
  if (!names.includes(CURRENT)) {
    // A database that was never written to the end of its creation has no files yet.
    if (files.length === 0) return []
    throw new StoreDamaged(join(directory, CURRENT), { offset: 0, why: 'the file is missing' })
  }
  const manifest = manifestOf(directory, names)
  const tables = [...manifest.tables].map(([number, bytes]) =>
    tableFile(directory, names, { number, bytes }),
  )
  const first = Math.min(manifest.logNumber, manifest.previousLogNumber || manifest.logNumber)
  const logs = names
    .map((name) => ({ name, number: Number(LOG.exec(name)?.[1] ?? -1) }))
    .filter(({ number }) => number >= first && number >= 0)
    .sort((a, b) => a.number - b.number)
  let isCut = false
  for (const { name } of logs) {
    if (isCut) setAside(directory, name, log)
    else isCut = maybeCut(directory, name, log)
  }
  return tables
}

function listed(directory: string): readonly string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

function manifestOf(directory: string, names: readonly string[]) {
  const current = join(directory, CURRENT)
  const text = readFileSync(current, 'latin1')
  const name = /^(MANIFEST-\d+)\n$/.exec(text)?.[1]
  if (name === undefined) throw new StoreDamaged(current, { offset: 0, why: 'names no manifest' })
  const path = join(directory, name)
  if (!names.includes(name)) throw new StoreDamaged(path, { offset: 0, why: 'the file is missing' })
  const { records, goodEnd, damage } = scanLog(readFileSync(path))
  if (damage !== undefined) throw new StoreDamaged(path, damage)
  const manifest = records.length === 0 ? undefined : readManifest(records)
  if (manifest === undefined) {
    throw new StoreDamaged(path, { offset: goodEnd, why: 'the list of files cannot be read' })
  }
  return manifest
}

function tableFile(
  directory: string,
  names: readonly string[],
  table: { readonly number: number; readonly bytes: number },
): TableFile {
  const name = names.find((one) => Number(TABLE.exec(one)?.[1] ?? -1) === table.number)
  if (name === undefined) {
    const path = join(directory, `${String(table.number).padStart(6, '0')}.ldb`)
    throw new StoreDamaged(path, { offset: 0, why: 'the file is missing' })
  }
  const path = join(directory, name)
  const { size } = statSync(path)
  if (size !== table.bytes) {
    const why = `the file has ${size} bytes instead of ${table.bytes}`
    throw new StoreDamaged(path, { offset: Math.min(size, table.bytes), why })
  }
  return { path, bytes: size }
}

/** Verifies the blocks of an open table: about 4 s a GB. */
export function checkTableContent(path: string, file: number): StoreDamaged | undefined {
  const damage = checkTable(readFileSync(file))
  return damage === undefined ? undefined : new StoreDamaged(path, damage)
}

/** Cuts a log in front of its first damaged record; says whether there was one. */
function maybeCut(directory: string, name: string, log: Log | undefined): boolean {
  const path = join(directory, name)
  const { goodEnd, damage } = scanLog(readFileSync(path))
  if (damage === undefined) return false
  log?.warn('cutting off a damaged end of the store’s log', {
    path,
    offset: damage.offset,
    error: damage.why,
    'kept-in': `${path}.broken`,
  })
  copyFileSync(path, `${path}.broken`)
  const file = openSync(path, 'r+')
  try {
    ftruncateSync(file, goodEnd)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  return true
}

function setAside(directory: string, name: string, log: Log | undefined): void {
  const path = join(directory, name)
  renameSync(path, `${path}.broken`)
  log?.warn('set aside a log of the store behind a damaged one', { path: `${path}.broken` })
}
