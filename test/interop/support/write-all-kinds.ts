import { expect } from 'vitest'
import type { Cluster } from './cluster.js'

/** Writes that use every kind of log entry data comes in, through every member in turn. */
export async function writeAllKinds(cluster: Cluster, mark: string): Promise<void> {
  for (const at of cluster.members) {
    const key = `${mark}/${at.name}`
    await cluster.ctl(['put', key, 'one'], { at })
    await cluster.ctl(['put', key, 'two', '--prev-kv'], { at })
    const stdin = `val("${key}") = "two"\n\nput ${key}/txn yes\nput ${key}/gone yes\n\n\n`
    expect(await cluster.ctl(['txn'], { at, stdin })).toContain('SUCCESS')
    expect(await cluster.ctl(['del', `${key}/gone`], { at })).toBe('1')
    for (const from of cluster.members) {
      const seen = await cluster.ctl(['get', key, '--print-value-only'], { at: from })
      expect(`${from.name} reads ${seen}`).toBe(`${from.name} reads two`)
    }
  }
}
