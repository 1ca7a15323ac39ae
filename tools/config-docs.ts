import { featureProblem } from '../src/config/availability.js'
import { environmentName, type FlagDefinition, yamlPath } from '../src/config/flag.js'
import { flagTable } from '../src/config/flag-table.js'
import { groupHeadings } from '../src/config/help.js'

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')

const code = (text: string): string => (text === '' ? '' : `\`${cell(text)}\``)

function remark(flag: FlagDefinition): string {
  const problem = flag.feature === undefined ? undefined : featureProblem(flag.feature)
  return problem === undefined ? '' : ` **Refused:** ${problem}.`
}

/** docs/configuration.md, made from the flag table; the test of the table keeps the file equal. */
export function configurationDocument(): string {
  const lines = [
    '# Configuration',
    '',
    'Made from the flag table in `src/config`; do not edit. To rewrite it:',
    '`UPDATE_GOLDEN=1 npx vitest run --project unit test/config/flag-table.test.ts`.',
    '',
    'Each setting is a flag (`--name value`, `-name=value`), an environment variable, or a key of the',
    'YAML file named by `--config-file`; with a file, flags and variables are ignored. A flag and its',
    'variable together are an error. In the file, durations are whole nanoseconds, and keys with a dot',
    'below are nested maps. A flag marked **Refused** is known but ends the process with an error when',
    'it is given anything but its default.',
  ]
  for (const [group, heading] of groupHeadings) {
    lines.push('', `## ${heading.replace(/:$/, '')}`, '')
    lines.push('| flag | default | environment | file | meaning |', '|---|---|---|---|---|')
    for (const flag of flagTable) {
      if (flag.group !== group) continue
      const shown = flag.shown ?? flag.default
      const key = yamlPath(flag)?.join('.') ?? ''
      const ignored = flag.kind === 'ignored' ? 'Accepted and ignored.' : ''
      const removed = flag.kind === 'removed' ? 'No longer supported: an error.' : ''
      const special: Readonly<Record<string, string>> = {
        'config-file': 'YAML file to read all settings from.',
        version: 'Print the version and end.',
      }
      const meaning = flag.help || special[flag.name] || ignored || removed
      lines.push(
        `| \`--${flag.name}\` | ${code(shown)} | ${code(environmentName(flag.name))} | ${code(key)} | ${cell(meaning)}${remark(flag)} |`,
      )
    }
  }
  return `${lines.join('\n')}\n`
}
