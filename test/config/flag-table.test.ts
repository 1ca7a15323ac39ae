// Goal: the table is one truth. Method: every flag is given a second value on the command line, in the
// environment and in a YAML file, and must mean the same; flags of missing features are refused by name;
// docs/configuration.md is what tools/config-docs.ts writes.
import { describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { featureProblem } from '../../src/config/availability.js'
import { parseCommandLine } from '../../src/config/command-line.js'
import { applyConfigFile } from '../../src/config/config-file.js'
import { applyEnvironment } from '../../src/config/environment.js'
import { environmentName, yamlPath } from '../../src/config/flag.js'
import { flagTable, type NamedFlag } from '../../src/config/flag-table.js'
import { Settings } from '../../src/config/settings.js'
import { configurationDocument } from '../../tools/config-docs.js'
import { errorOf, given } from './given.js'
import { golden } from './golden.js'

/** A legal text other than the default. */
function otherText(flag: NamedFlag): string {
  switch (flag.kind) {
    case 'boolean':
      return flag.default === 'true' ? 'false' : 'true'
    case 'duration':
      return '1h1m7s'
    case 'integer':
    case 'unsigned':
    case 'uint32':
      return '77'
    case 'urls':
    case 'origins':
      return 'http://127.0.0.1:1,http://127.0.0.1:2'
    case 'list':
    case 'set':
      return 'a,b'
    case 'choice':
      return flag.choices?.find((choice) => choice !== flag.default) ?? ''
    case 'gates':
      return 'LeaseCheckpoint=true,AllBeta=false'
    case 'address':
      return '1.2.3.4:5'
    default:
      return 'x'
  }
}

function yamlValue(flag: NamedFlag, text: string): unknown {
  if (flag.kind === 'boolean') return text === 'true'
  if (flag.kind === 'duration') return 3_667_000_000_000
  if (['integer', 'unsigned', 'uint32'].includes(flag.kind)) return Number(text)
  return flag.kind === 'list' || flag.yamlList === true ? text.split(',') : text
}

const settable = flagTable.filter((flag) => flag.kind !== 'removed' && flag.kind !== 'ignored')

describe('command line, environment and file mean the same', () => {
  test.each(settable)('$name', (flag) => {
    const text = otherText(flag)
    const line = new Settings('command-line')
    expect(parseCommandLine([`--${flag.name}=${text}`], line).kind).toBe('parsed')
    expect(line.isChanged(flag)).toBe(true)
    if (flag.name !== 'version') {
      const variable = new Settings('command-line')
      applyEnvironment(variable, { [environmentName(flag.name)]: text })
      expect(variable.get(flag.name)).toEqual(line.get(flag.name))
    }
    const path = yamlPath(flag)
    if (path === undefined) return
    const file = new Settings('file')
    const node = path.reduceRight<unknown>(
      (inner, key) => ({ [key]: inner }),
      yamlValue(flag, text),
    )
    expect(applyConfigFile(stringify(node), file)).toEqual({ kind: 'applied' })
    expect(file.get(flag.name)).toEqual(line.get(flag.name))
  })
})

describe('a flag of a missing feature is refused by its name', () => {
  const missing = flagTable.filter((flag) => {
    // It needs --discovery-token beside it, which is refused first.
    if (flag.name === 'discovery-endpoints') return false
    return flag.feature !== undefined && featureProblem(flag.feature) !== undefined
  })
  /** What must be given besides, so that etcd's own checks let the flag pass. */
  const company: Readonly<Record<string, readonly string[]>> = {
    'discovery-token': ['--discovery-endpoints=a'],
    'enable-log-rotation': ['--log-outputs=a'],
  }
  test.each(missing)('$name', (flag) => {
    const outcome = given([`--${flag.name}=${otherText(flag)}`, ...(company[flag.name] ?? [])])
    expect(errorOf(outcome)).toContain(
      `--${flag.name}: ${flag.feature === undefined ? '' : featureProblem(flag.feature)}`,
    )
    const isIdle = given([`--${flag.name}=${flag.default}`]).kind
    if (flag.kind !== 'set') expect(isIdle).toBe('run')
  })

  test.each([
    [['--auth-token=jwt,sign-method=RS256'], '--auth-token: the token type jwt'],
    [['--auth-token='], '--auth-token: authentication without a token type'],
    [['--log-outputs=systemd/journal'], '--log-outputs: logging to the systemd journal'],
    [['--feature-gates=AllAlpha=true'], '--feature-gates=StopGRPCServiceOnDefrag=true: '],
    [['--feature-gates=InitialCorruptCheck=true'], '--feature-gates=InitialCorruptCheck=true: '],
  ])('%j', (argv, text) => {
    expect(errorOf(given(argv))).toContain(text)
  })
})

test('docs/configuration.md is generated from the table', () => {
  const text = configurationDocument()
  expect(text).toBe(golden('docs/configuration.md', text))
})
