import { readFileSync } from 'node:fs'
const dist = '/work/main/.tmp/mine/dist/'
const { Backend } = await import(dist + 'backend/backend.js')
const { MvccStore } = await import(dist + 'mvcc/mvcc-store.js')
const { openEngine } = await import(dist + 'backend/open-engine.js')
const { LevelEngines } = await import(dist + 'platform/level-engine.js')
const { useLatin1Decoder } = await import(dist + 'base/latin1.js')
const { latin1Slice } = Buffer.prototype
useLatin1Decoder((bytes) => latin1Slice.call(bytes, 0, bytes.length))
const cpu = () => Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6
const { engine } = await new Promise((d, f) => openEngine(new LevelEngines('/work/main/.tmp/mine/rows'), (e, o) => o ? d(o) : f(e)))
const backend = new Backend({ engine, defer: setImmediate, onFailure(e) { throw e } })
const store = new MvccStore({ rows: backend, attachments: { leaseOf: () => 0n, attach() {}, detach() {} } })
await new Promise((d) => backend.restoreRows(store, d)); store.finishRestore()
for (let i = 0; i < 2; i++) { const c = cpu(), t = performance.now(); const h = await new Promise((d) => store.hashKv(0, d)); console.log(h.hash, 'cpu', cpu() - c | 0, 'wall', performance.now() - t | 0) }
await new Promise((d) => backend.close(d))
