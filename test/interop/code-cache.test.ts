// Goal: a start does not compile what the build has compiled. Method: the launcher's own loader, on the built bundle,
// in a process of its own; and once with the compiled form of other source, which must not be run.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { temporaryFolder } from './support/cluster.js'
import { ROOT } from './support/member-process.js'
import { describeWith } from './support/requirements.js'

/** How many files of the bundle in this folder a start loads, and how many of them in their compiled form. */
function loaded(root: string): string {
  const script = `const { scripts, cached } = require('${root}/bin/load-bundle.js').loadBundle()
    process.stdout.write(cached.size + ' of ' + scripts.size)`
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' })
  return stdout === '' ? stderr : stdout
}

describeWith(['daemon'], 'the compiled form beside the bundle', () => {
  test('is taken, whatever the number of its files', () => {
    const [taken, all] = loaded(ROOT).split(' of ')
    expect(Number(all)).toBeGreaterThan(0)
    expect(taken).toBe(all)
  })

  test('is left aside when it is of another source, and then the source runs', () => {
    const folder = temporaryFolder('code-cache')
    try {
      const bundle = join(folder, 'dist', 'bundle')
      mkdirSync(bundle, { recursive: true })
      cpSync(join(ROOT, 'bin'), join(folder, 'bin'), { recursive: true })
      cpSync(join(ROOT, 'dist/bundle/etcd.cache'), join(bundle, 'etcd.cache'))
      writeFileSync(join(bundle, 'etcd.cjs'), 'exports.main = () => {}')
      expect(loaded(folder)).toBe('0 of 1')
      rmSync(join(bundle, 'etcd.cache'))
      expect(loaded(folder)).toBe('0 of 1')
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  test('comes from a bundle that says where its sources are', () => {
    const source = readFileSync(join(ROOT, 'dist/bundle/etcd.cjs'), 'utf8')
    expect(source.slice(-60)).toContain('sourceMappingURL=etcd.cjs.map')
  })
})
