// What a put, a read and a restart cost in the store and its backend, without network and log.
// Usage: npm run build && node --expose-gc bench/mvcc-put.mjs [keys] [dist folder]
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const KEYS = Number(process.argv[2] ?? 1_000_000)
const dist = resolve(process.argv[3] ?? 'dist')
const load = (file) => import(pathToFileURL(join(dist, file)).href)
const { Backend } = await load('backend/backend.js')
const { openEngine } = await load('backend/open-engine.js')
const { MvccStore } = await load('mvcc/mvcc-store.js')
const { LevelEngines } = await load('platform/level-engine.js')
const { useLatin1Decoder } = await load('base/latin1.js')
const { latin1Slice } = Buffer.prototype
useLatin1Decoder((bytes) => latin1Slice.call(bytes, 0, bytes.length))

mkdirSync('.tmp', { recursive: true })
const directory = mkdtempSync('.tmp/bench-mvcc-')
const engines = new LevelEngines(directory)
const attachments = { leaseOf: () => 0n, attach() {}, detach() {} }
const megabytes = (bytes) => `${Math.round(bytes / 1e6)} MB`
/** Milliseconds that the main thread spent on a processor: other processes do not count, where Linux tells. */
const SCHEDSTAT = `/proc/self/task/${process.pid}/schedstat`
const cpu = existsSync(SCHEDSTAT)
  ? () => Number(readFileSync(SCHEDSTAT, 'utf8').split(' ')[0]) / 1e6
  : () => performance.now()
const anonymous = () => {
  const status = existsSync('/proc/self/status') ? readFileSync('/proc/self/status', 'utf8') : ''
  return `${Math.round(Number(/RssAnon:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1000)} MB of it not file pages`
}
const turn = () => new Promise((done) => setImmediate(done))

async function open() {
  const begin = performance.now()
  const cpuBegin = cpu()
  const { engine } = await new Promise((done, fail) =>
    openEngine(engines, (failure, opened) => (opened ? done(opened) : fail(failure))),
  )
  const backend = new Backend({
    engine,
    defer: (task) => setImmediate(task),
    onFailure: (failure) => {
      throw failure
    },
  })
  const store = new MvccStore({ rows: backend, attachments })
  await new Promise((done) => backend.restoreRows(store, done))
  store.finishRestore()
  return { backend, store, ms: performance.now() - begin, cpuMs: cpu() - cpuBegin }
}

const keyBytes = Buffer.alloc(64, 'k')
function keyAt(at) {
  // Spread over the key space, as hashed names are.
  const spread = (Math.imul(at, 2654435761) >>> 0).toString(16).padStart(8, '0')
  keyBytes.write(spread, 20, 'latin1')
  keyBytes.write(String(at).padStart(10, '0'), 40, 'latin1')
  return keyBytes
}
const value = Buffer.alloc(256, 'v')

async function puts(name, { store, backend }, count) {
  let longest = 0
  let flushedAt = performance.now()
  const begin = performance.now()
  const cpuBegin = cpu()
  for (let at = 0; at < count; ) {
    const start = performance.now()
    for (const until = Math.min(count, at + 100); at < until; at++) {
      const transaction = store.begin()
      transaction.put(keyAt(at), value, 0n)
      transaction.end()
    }
    const now = performance.now()
    if (backend.isFlushDue || now - flushedAt > 100) {
      backend.setConsistentIndex(backend.consistentIndex + 1, 1)
      backend.flush(false)
      flushedAt = now
    }
    longest = Math.max(longest, performance.now() - start)
    do await turn()
    while (backend.isOverloaded)
  }
  await new Promise((done) => backend.flush(true, done))
  const micros = ((cpu() - cpuBegin) * 1000) / count
  const total = ((performance.now() - begin) / 1000).toFixed(1)
  console.log(
    `${name}: ${micros.toFixed(2)} us a put on the main thread, ${total} s in all, longest 100 puts ${longest.toFixed(1)} ms`,
  )
}

function reads(name, { store }, pick, count) {
  const keys = Array.from({ length: count }, (_, at) => keyAt(pick(at)).toString('latin1'))
  const begin = cpu()
  let found = 0
  for (const key of keys) found += store.range({ key, end: '' }).kvs.length
  const micros = ((cpu() - begin) * 1000) / count
  console.log(`${name}: ${micros.toFixed(2)} us a range of one key (${found}/${count} found)`)
}

let opened = await open()
console.log(`keys ${KEYS}, 64 B keys, 256 B values, Node ${process.version}`)
await puts('new keys', opened, KEYS)
reads('recent writes', opened, (at) => KEYS - 1 - (at % 1000), 20_000)
reads('cold, from LevelDB', opened, (at) => (at * 7919) % KEYS, 20_000)
reads('warm, from the cache', opened, (at) => ((at % 5000) * 7919) % KEYS, 5_000)
reads('warm again', opened, (at) => ((at % 5000) * 7919) % KEYS, 5_000)
let begin = performance.now()
for (let at = 0; at < 1000; at++) opened.store.range({ key: '\0', end: '\0', isCountOnly: true })
console.log(`count of all keys: ${(performance.now() - begin).toFixed(2)} us`)
begin = performance.now()
let cursor = opened.store.openRange({ key: '\0', end: '\0', limit: 100_000 })
let slices = 0
let longest = 0
for (;;) {
  const start = performance.now()
  const slice = await new Promise((done) => {
    cursor.next(1000, done)
    longest = Math.max(longest, performance.now() - start)
  })
  slices++
  if (slice.isEnd) break
}
cursor.close()
cursor = undefined
console.log(
  `range of 100,000 keys: ${(performance.now() - begin).toFixed(0)} ms in ${slices} slices, longest stretch ${longest.toFixed(1)} ms`,
)
await puts('updates', opened, Math.min(KEYS, 200_000))
global.gc?.()
console.log(
  `RSS ${megabytes(process.memoryUsage().rss)}, ${anonymous()}, heap ${megabytes(process.memoryUsage().heapUsed)}`,
)
begin = performance.now()
const hash = await new Promise((done) => opened.store.hashKv(0, done))
console.log(`HashKV ${hash.hash}: ${(performance.now() - begin).toFixed(0)} ms`)
begin = performance.now()
opened.store.compact(opened.store.currentRevision)
let spent = 0
for (let state = 'more'; state !== 'done'; ) {
  const start = performance.now()
  state = opened.store.compactSome(1000)
  spent = Math.max(spent, performance.now() - start)
  if (opened.backend.isFlushDue) opened.backend.flush(false)
  await turn()
}
console.log(
  `compaction: ${(performance.now() - begin).toFixed(0)} ms, longest stretch ${spent.toFixed(1)} ms`,
)

async function restart(name) {
  opened = undefined
  global.gc?.()
  opened = await open()
  console.log(
    `${name}: ${opened.ms.toFixed(0)} ms, ${opened.cpuMs.toFixed(0)} of the main thread, ${opened.store.liveKeyCount} keys`,
  )
  global.gc?.()
  console.log(
    `RSS ${megabytes(process.memoryUsage().rss)}, ${anonymous()}, heap ${megabytes(process.memoryUsage().heapUsed)}`,
  )
}

async function close() {
  const start = performance.now()
  await new Promise((done) => opened.backend.close(done))
  console.log(`close: ${(performance.now() - start).toFixed(0)} ms`)
}

await close()
await restart('restart from the kept index')
const same = await new Promise((done) => opened.store.hashKv(0, done))
console.log(`HashKV ${same.hash} after the restart`)
await close()
// As after a crash: without its head the kept index is left aside.
const bare = await new Promise((done, fail) =>
  engines.open('leveldb', (failure, engine) => (engine ? done(engine) : fail(failure))),
)
const batch = bare.batch()
batch.delete(new Uint8Array([0x0f]))
await new Promise((done) => batch.write({ sync: true }, done))
await new Promise((done) => bare.close(done))
await restart('restart from all rows')
await close()
rmSync(directory, { recursive: true })
