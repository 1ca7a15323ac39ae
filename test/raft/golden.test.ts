// Goal: what the core does where etcd's own transcripts do not look. Method: transcripts in the same language,
// rewritten with UPDATE_GOLDEN=1 and read before they are committed.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { playTranscript } from './conformance/datadriven.js'
import { InteractionEnvironment } from './conformance/environment.js'

const folder = fileURLToPath(new URL('../golden/raft', import.meta.url))
const { UPDATE_GOLDEN } = process.env
const isUpdating = UPDATE_GOLDEN === '1'

describe('golden transcripts', () => {
  for (const file of readdirSync(folder).filter((entry) => entry.endsWith('.txt'))) {
    test(file, () => {
      const path = join(folder, file)
      const environment = new InteractionEnvironment()
      const played = playTranscript(readFileSync(path, 'utf8'), (command) =>
        environment.run(command),
      )
      if (isUpdating) writeFileSync(path, played.actual)
      else expect(played.differences.join('\n\n')).toBe('')
    })
  }
})
