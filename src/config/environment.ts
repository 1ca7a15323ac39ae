import { environmentName } from './flag.js'
import { flagsInNameOrder } from './flag-table.js'
import { goQuote } from './go-value.js'
import { type Notice, notice } from './notice.js'
import type { Settings } from './settings.js'

/** Environment variables by name; one that is not set is absent or `undefined`. */
export type Environment = Readonly<Record<string, string | undefined>>

const VERSION_VARIABLE = 'ETCD_VERSION'
/** Read by etcd before its flags, on machines where nobody tests it; this program runs on any. */
const ARCHITECTURE_VARIABLE = 'ETCD_UNSUPPORTED_ARCH'

/** How reading the environment ended; the notices are to be logged in any case. */
export type EnvironmentOutcome =
  | Readonly<{ kind: 'applied'; notices: readonly Notice[] }>
  | Readonly<{ kind: 'conflict'; notices: readonly Notice[] }>
  | Readonly<{ kind: 'refused'; notices: readonly Notice[]; error: string }>

/**
 * Gives every flag that the command line left alone the value of its variable. A variable whose
 * flag is on the command line too is fatal, a stranger with our prefix only a warning. Of several
 * bad values the last by flag name is reported, as etcd does.
 */
export function applyEnvironment(settings: Settings, environment: Environment): EnvironmentOutcome {
  const notices: Notice[] = []
  const version = environment[VERSION_VARIABLE] ?? ''
  if (version !== '') {
    const fields = { key: VERSION_VARIABLE, value: version }
    notices.push(notice('warn', 'cannot set special environment variable', fields))
  }
  const onCommandLine = new Set<string>()
  for (const flag of flagsInNameOrder) {
    if (settings.isGiven(flag.name)) onCommandLine.add(environmentName(flag.name))
  }
  const used = new Set<string>([VERSION_VARIABLE, ARCHITECTURE_VARIABLE])
  let error: string | undefined
  for (const flag of flagsInNameOrder) {
    const variable = environmentName(flag.name)
    const text = environment[variable] ?? ''
    if (onCommandLine.has(variable) || text === '' || used.has(variable)) continue
    used.add(variable)
    const reason = settings.setText(flag, text)
    if (reason !== undefined) {
      error = `invalid value ${goQuote(text)} for ${variable}: ${reason}`
      continue
    }
    const fields = { 'variable-name': variable, 'variable-value': text }
    notices.push(notice('info', 'recognized and used environment variable', fields))
  }
  for (const [variable, text] of Object.entries(environment)) {
    if (text === undefined || used.has(variable)) continue
    if (onCommandLine.has(variable)) {
      notices.push(
        notice(
          'fatal',

          'conflicting environment variable is shadowed by corresponding command-line flag ' +
            '(either unset environment variable or disable flag))',
          { 'environment-variable': variable },
        ),
      )
      return { kind: 'conflict', notices }
    }
    if (!variable.startsWith('ETCD_')) continue
    const fields = { 'environment-variable': `${variable}=${text}` }
    notices.push(notice('warn', 'unrecognized environment variable', fields))
  }
  return error === undefined ? { kind: 'applied', notices } : { kind: 'refused', notices, error }
}
