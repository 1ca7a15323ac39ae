/** The thread that verifies a store's tables (src/platform/table-checks.ts) while rows are read. */
import { openSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import { invariant } from '../base/invariant.js'
import { checkTableContent } from './level-check.js'
import type { TableCheckNews } from './table-checks.js'

invariant(parentPort !== null, 'runs as a worker thread')
const port = parentPort
const say = (news: TableCheckNews): void => port.postMessage(news)
const paths = workerData as readonly string[]
// A table that LevelDB replaces meanwhile can still be read.
const tables = paths.map((path) => ({ path, file: openSync(path, 'r') }))
say({ kind: 'holding' })
let damage: string | undefined
for (const { path, file } of tables) damage ??= checkTableContent(path, file)?.message
say({ kind: 'checked', damage })
