import { writeFileSync } from 'node:fs'
import type { Operation } from '../simulation/history.js'
import { asLines } from '../simulation/linearizability/as-lines.js'
import type { HistoryLine } from '../simulation/linearizability/history-file.js'
import type { ResumingWatcher } from './resuming-watcher.js'

/** Writes what clients did and watchers of a prefix saw from revision 1 on (docs/formats/history.md). */
export function writeHistory(
  path: string,
  seen: {
    readonly operations: readonly Operation[]
    readonly watchers: readonly ResumingWatcher[]
    readonly prefix: string
    readonly end: string
  },
): void {
  const lines: HistoryLine[] = [...asLines(seen.operations, [])]
  seen.watchers.forEach(({ whole }, watcher) => {
    lines.push({ kind: 'watch', watcher, key: seen.prefix, end: seen.end, startRevision: 1 })
    for (const { type, kv } of whole) {
      const revision = Number(kv.mod_revision)
      const [key, value] = [kv.key.toString('latin1'), kv.value.toString('latin1')]
      lines.push({ kind: 'event', watcher, revision, type, key, value })
    }
  })
  writeFileSync(path, `${lines.map((line) => JSON.stringify(line)).join('\n')}\n`)
}
