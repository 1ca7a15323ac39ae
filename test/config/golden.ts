import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/** Text kept at `path` of the repository; with UPDATE_GOLDEN=1 it is replaced by `text` first. */
export function golden(path: string, text: string): string {
  const file = new URL(`../../${path}`, import.meta.url)
  if (process.env.UPDATE_GOLDEN === '1') {
    mkdirSync(dirname(file.pathname), { recursive: true })
    writeFileSync(file, text)
  }
  return readFileSync(file, 'utf8')
}
