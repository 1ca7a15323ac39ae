import type { Environment } from '../../src/config/environment.js'
import { type ConfigOutcome, parseServerConfig } from '../../src/config/parse-config.js'
import type { ServerConfig } from '../../src/config/server-config.js'

/** Parses a command line with nothing around it but `environment` and the given files. */
export function given(
  argv: readonly string[],
  environment: Environment = {},
  files: Readonly<Record<string, string>> = {},
): ConfigOutcome {
  return parseServerConfig(argv, environment, (path) => {
    const text = files[path]
    if (text !== undefined) return text
    throw Object.assign(new Error('no file'), { code: 'ENOENT' })
  })
}

/** The outcome of a YAML file with this text. */
export function givenYaml(text: string): ConfigOutcome {
  return given(['--config-file', 'c.yml'], {}, { 'c.yml': text })
}

/** The configuration of an outcome that runs; the test ends when it does not. */
export function configOf(outcome: ConfigOutcome): ServerConfig {
  if (outcome.kind === 'run') return outcome.config
  throw new Error(`expected a configuration, got ${JSON.stringify(outcome)}`)
}

/** The `error` field of the first notice that has one; '' when the outcome runs or only prints. */
export function errorOf(outcome: ConfigOutcome): string {
  if (outcome.kind !== 'refuse') return ''
  for (const { fields } of outcome.notices) {
    if (typeof fields.error === 'string') return fields.error
  }
  return ''
}

/** First line on stderr of an outcome that prints or is refused without a log line. */
export function stderrOf(outcome: ConfigOutcome): string {
  return outcome.kind === 'run' ? '' : (outcome.stderr ?? '').split('\n', 1).join('')
}

/** Exit code of an outcome; `undefined` when it runs. */
export function exitCodeOf(outcome: ConfigOutcome): number | undefined {
  return outcome.kind === 'run' ? undefined : outcome.exitCode
}
