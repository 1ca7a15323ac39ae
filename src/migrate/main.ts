import { Journal } from './journal.js'
import { flattened, Migration, type MigrationParts, type Pass } from './migration.js'
import { type MigrateOptions, parseMigrateOptions, UsageEnd } from './options.js'
import { V2Source } from './v2-source.js'
import { V3Target } from './v3-target.js'

const FAILED_EXIT_CODE = 1

const print = (text: string): void => {
  process.stdout.write(`${text}\n`)
}

/** `etcd migrate-v2`: copies a tree of the v2 API into keys of the v3 API. */
export async function migrateV2(argv: readonly string[]): Promise<void> {
  try {
    const options = parseMigrateOptions(argv)
    await migrate(options)
  } catch (thrown) {
    const isUsage = thrown instanceof UsageEnd
    const text = thrown instanceof Error ? thrown.message : String(thrown)
    const stream = isUsage && thrown.exitCode === 0 ? process.stdout : process.stderr
    stream.write(isUsage ? `${text}\n` : `migrate-v2: ${text}\n`)
    process.exitCode = isUsage ? thrown.exitCode : FAILED_EXIT_CODE
  }
}

async function migrate(options: MigrateOptions): Promise<void> {
  const source = new V2Source(options.from, options.prefix, options.fromCredentials)
  const target = new V3Target(options.to, options.toCredentials)
  try {
    const snapshot = await source.read()
    const destination = destinationOf(options, snapshot.root.dir === true)
    const found = flattened({ options }, snapshot)
    const { clusterId, keys } = await target.open(destination)
    if (options.isDryRun) {
      dryRun(destination, found, keys)
      return
    }
    const journal = new Journal(options.statePath, {
      fromCluster: snapshot.clusterId,
      toCluster: clusterId,
      prefix: options.prefix,
      strip: options.strip,
    })
    if (keys > 0 && journal.copied.size === 0 && !options.overwrites) {
      throw new Error(
        `the target has ${keys} keys below ${destination} already; give the --state file of the ` +
          'migration that wrote them, or --overwrite',
      )
    }
    try {
      await copy({ options, source, target, journal, progress: process.stderr })
    } finally {
      journal.close()
    }
  } finally {
    target.close()
  }
}

/** What all v3 keys of the migration begin with. */
function destinationOf({ prefix, strip }: MigrateOptions, isDirectory: boolean): string {
  if (strip || prefix === '/') return '/'
  return isDirectory ? `${prefix}/` : prefix
}

function dryRun(
  destination: string,
  { items, emptyDirectories }: ReturnType<typeof flattened>,
  keysInTarget: number,
): void {
  let bytes = 0
  const seconds = new Set<number>()
  for (const { key, value, deadlineMs } of items.values()) {
    const size = Buffer.byteLength(value)
    bytes += Buffer.byteLength(key) + size
    const ttl = deadlineMs === undefined ? 0 : Math.round((deadlineMs - Date.now()) / 1000)
    if (deadlineMs !== undefined) seconds.add(Math.ceil(deadlineMs / 1000))
    print(`put ${key} (${size} bytes${deadlineMs === undefined ? '' : `, ${ttl} s to live`})`)
  }
  for (const directory of emptyDirectories) print(`skip ${directory} (empty directory)`)
  print(
    `dry run: ${items.size} keys, ${bytes} bytes, ${seconds.size} leases; ` +
      `${emptyDirectories.length} empty directories are left out; ` +
      `the target has ${keysInTarget} keys below ${destination}`,
  )
}

async function copy(parts: MigrationParts): Promise<void> {
  const migration = new Migration(parts)
  const sum = await migration.run()
  print(
    `copied ${sum.written} keys and deleted ${sum.deleted}; the source has ${sum.keys} keys at ` +
      `index ${sum.index}, and ${sum.emptyDirectories} empty directories that were left out`,
  )
  if (parts.options.follows) await follow(migration, sum)
  else if (!sum.isCaughtUp) {
    throw new Error('the source changes faster than it is copied; go on with --follow')
  }
}

/** Until SIGINT or SIGTERM, which end it after the pass under way. */
async function follow(migration: Migration, from: Pass): Promise<void> {
  const ending = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => ending.abort())
  print(`following from index ${from.index}`)
  await migration.follow(from, ending.signal, ({ written, deleted, index }) =>
    print(`copied ${written} keys and deleted ${deleted}, index ${index}`),
  )
}
