import { afterEach } from 'vitest'
import type { Cluster } from './cluster.js'

/** Prints the ends of the members' logs after a test that failed. */
export function logsOnFailure(current: () => Cluster | undefined): void {
  afterEach(({ task }) => {
    if (task.result?.state !== 'fail') return
    const cluster = current()
    if (cluster !== undefined) console.error(cluster.logs())
  })
}
