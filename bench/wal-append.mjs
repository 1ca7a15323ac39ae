/**
 * Durable appends of 400-byte entries to the write-ahead log, beside the bare write that they cost at least:
 * `npm run build && node bench/wal-append.mjs [directory]`. The directory must be on the disk that is meant.
 */
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  write,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'

const built = process.env.BUILT ?? '../dist'
const { crc32c } = await import(`${built}/base/crc32c.js`)
const { nodeDisk } = await import(`${built}/platform/disk.js`)
const { Wal } = await import(`${built}/wal/wal.js`)

const parent = process.argv[2] ?? '.tmp'
mkdirSync(parent, { recursive: true })
const directory = mkdtempSync(join(parent, 'wal-append-'))
const COUNT = 2000
const PAYLOAD = new Uint8Array(400).fill(0x61)
let index = 0
const entry = () => ({ type: 'EntryNormal', term: 1, index: ++index, data: PAYLOAD })
const saveOf = (count) => ({
  hardState: { term: 1, vote: 1n, commit: index },
  entries: Array.from({ length: count }, entry),
  mustSync: true,
})

async function measure(name, count, entriesEach, work) {
  const tookUs = new Float64Array(count)
  const cpu = process.cpuUsage()
  const started = process.hrtime.bigint()
  for (let at = 0; at < count; at++) {
    const before = process.hrtime.bigint()
    await work()
    tookUs[at] = Number(process.hrtime.bigint() - before) / 1000
  }
  const seconds = Number(process.hrtime.bigint() - started) / 1e9
  const { user, system } = process.cpuUsage(cpu)
  tookUs.sort()
  const [p50, p99] = [0.5, 0.99].map((share) => tookUs[Math.floor(count * share)].toFixed(0))
  const perSecond = Math.round((count * entriesEach) / seconds)
  const cpuUs = ((user + system) / count / entriesEach).toFixed(1)
  console.log(
    `${name.padEnd(44)} p50 ${p50.padStart(6)} us  p99 ${p99.padStart(6)} us  ` +
      `${String(perSecond).padStart(7)} entries/s  ${cpuUs.padStart(6)} us CPU an entry`,
  )
}

const bare = openSync(
  join(directory, 'bare'),
  constants.O_RDWR | constants.O_CREAT | constants.O_DSYNC,
)
writeSync(bare, new Uint8Array(8 << 20), 0, 8 << 20, 0)
let bareOffset = 0
const bytes = new Uint8Array(440).fill(0x61)
const nextOffset = () => {
  bareOffset += 440
  return bareOffset
}
await measure('bare write, O_DSYNC, through the thread pool', COUNT, 1, () => {
  return new Promise((done) => write(bare, bytes, 0, 440, nextOffset(), done))
})
await measure('bare write, O_DSYNC, on the main thread', COUNT, 1, () => {
  writeSync(bare, bytes, 0, 440, nextOffset())
})
closeSync(bare)

const wal = Wal.create({
  disk: nodeDisk,
  directory: join(directory, 'wal'),
  metadata: new Uint8Array(20),
})
const savedWrite = (write) =>
  new Promise((done, fail) => {
    wal.save(write, (error) => (error === undefined ? done() : fail(error)))
  })
const saved = (count) => savedWrite(saveOf(count))
await measure('save, one entry in turn', COUNT, 1, () => saved(1))
await measure('maybeSaveSync, one entry in turn', COUNT, 1, async () => {
  const write = saveOf(1)
  if (!wal.maybeSaveSync(write)) await savedWrite(write)
})
await measure('100 saves at once, coalesced', COUNT, 100, () => {
  const all = []
  for (let at = 0; at < 100; at++) all.push(saved(1))
  return Promise.all(all)
})
await measure('one save of 100 entries', COUNT, 100, () => saved(100))
console.log(`${wal.writeCount} writes, ${wal.bytesWritten} bytes`)
await new Promise((done) => wal.close(done))
const opening = process.hrtime.bigint()
const opened = Wal.open({
  disk: nodeDisk,
  directory: join(directory, 'wal'),
  from: { index: 0, term: 0 },
})
const openMs = Number(process.hrtime.bigint() - opening) / 1e6
console.log(`opened with ${opened.entries.length} entries in ${openMs.toFixed(0)} ms`)
await new Promise((done) => opened.wal.close(done))

const short = new Uint8Array(300).map((_, at) => at)
let crc = 0
for (let at = 0; at < 100_000; at++) crc = crc32c(short, 0, 300, crc)
const before = process.hrtime.bigint()
for (let at = 0; at < 1_000_000; at++) crc = crc32c(short, 0, 300, crc)
const eachUs = Number(process.hrtime.bigint() - before) / 1e9
console.log(`crc32c of 300 bytes: ${eachUs.toFixed(2)} us (${crc})`)
rmSync(directory, { recursive: true })
