// Goal: the core prints, step by step, what etcd's own core prints. Method: play the transcripts of the
// etcd-io/raft project, which lie beside the checkout and are not part of it.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { createConfChangeDriver } from './confchange-driver.js'
import { type Command, playTranscript } from './datadriven.js'
import { InteractionEnvironment } from './environment.js'
import { runQuorumCommand } from './quorum-driver.js'

const folder = fileURLToPath(new URL('../../../../shared/raft-conformance', import.meta.url))

const drivers: Readonly<Record<string, () => (command: Command) => string>> = {
  interaction: () => {
    const environment = new InteractionEnvironment()
    return (command) => environment.run(command)
  },
  quorum: () => runQuorumCommand,
  confchange: createConfChangeDriver,
}

for (const [name, createDriver] of Object.entries(drivers)) {
  const path = join(folder, name)
  describe(`conformance: ${name}`, () => {
    if (!existsSync(path)) {
      test.skip(`transcripts are not beside the checkout: ${path}`, () => undefined)
      return
    }
    for (const file of readdirSync(path).filter((entry) => entry.endsWith('.txt'))) {
      test(file, () => {
        const text = readFileSync(join(path, file), 'utf8')
        const { differences } = playTranscript(text, createDriver())
        expect(differences.join('\n\n')).toBe('')
      })
    }
  })
}
