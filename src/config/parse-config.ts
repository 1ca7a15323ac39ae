import { SERVER_VERSION } from '../base/version.js'
import { buildConfig, missingFeature, startProblem } from './build-config.js'
import { parseCommandLine } from './command-line.js'
import { applyConfigFile } from './config-file.js'
import { applyDefaultHost, type DetectHost } from './default-host.js'
import { applyEnvironment, type Environment } from './environment.js'
import { type FlagName, findFlag } from './flag-table.js'
import { flagsText, usageText } from './help.js'
import { applyLegacyAddresses } from './legacy-addresses.js'
import { type Notice, notice } from './notice.js'
import type { ServerConfig } from './server-config.js'
import { Settings } from './settings.js'
import { tlsNotices } from './tls-settings.js'
import { ADVERTISE_CLIENT_MISSING, verifySettings } from './verify-settings.js'

/** What the process is to do after reading its configuration. */
export type ConfigOutcome =
  /** Log the notices and serve. */
  | Readonly<{ kind: 'run'; config: ServerConfig; notices: readonly Notice[] }>
  /** Print and end; nothing is logged. */
  | Readonly<{ kind: 'print'; stdout: string; stderr: string; exitCode: number }>
  /** Log the notices, print `stderr` if there is one, and end. */
  | Readonly<{ kind: 'refuse'; notices: readonly Notice[]; stderr?: string; exitCode: number }>

/** Reads a file as UTF-8; throws what Node's fs throws. */
export type ReadFile = (path: string) => string

const goPlatforms: Readonly<Record<string, string>> = { win32: 'windows' }
const goArchitectures: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' }

/** The four lines of `--version`; scripts cut the first one. */
function versionText(): string {
  const platform = goPlatforms[process.platform] ?? process.platform
  const architecture = goArchitectures[process.arch] ?? process.arch
  return [
    `etcd Version: ${SERVER_VERSION}`,
    'Git SHA: Not provided',
    `Go Version: none (Node.js ${process.version})`,
    `Go OS/Arch: ${platform}/${architecture}`,
    '',
  ].join('\n')
}

/** How etcd reports that it could not start: the words are its own, whatever the error. */
export function startFailureNotices(error: string): readonly Notice[] {
  return [
    notice('warn', 'failed to start etcd', { error }),
    notice('fatal', 'discovery failed', { error }),
  ]
}

function verifyFailureNotices(error: string): readonly Notice[] {
  const failed = notice('warn', 'failed to verify flags', { error })
  if (error !== ADVERTISE_CLIENT_MISSING) return [failed]
  return [failed, notice('warn', 'advertise client URLs are not set', { error })]
}

/** Why Node could not read the file, in the words of Go. */
function fileProblem(path: string, thrown: unknown): string {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined
  switch (code) {
    case 'ENOENT':
      return `open ${path}: no such file or directory`
    case 'EACCES':
      return `open ${path}: permission denied`
    case 'EISDIR':
      return `read ${path}: is a directory`
    default:
      return `open ${path}: ${thrown instanceof Error ? thrown.message : String(thrown)}`
  }
}

const deprecated: readonly FlagName[] = [
  'enable-v2',
  'experimental-enable-v2v3',
  'proxy',
  'proxy-failure-wait',
  'proxy-refresh-interval',
  'proxy-dial-timeout',
  'proxy-write-timeout',
  'proxy-read-timeout',
]

/** What etcd tells about settings of the command line that it changes or would rather not see. */
function commandLineNotices(settings: Settings): readonly Notice[] {
  const notices: Notice[] = []
  for (const name of ['raft-read-timeout', 'raft-write-timeout'] as const) {
    if (settings.get(name) >= 5000) continue
    notices.push(notice('info', `${name} increased to minimum value: 5s`))
  }
  for (const name of deprecated) {
    if (!settings.isGiven(name)) continue
    const text = `--${name} is deprecated in 3.5 and will be decommissioned in 3.6.`
    notices.push(notice('warn', text))
  }
  return notices
}

/** Without a choice of bootstrap the default is one member; a discovery service replaces it. */
function clearInitialCluster(settings: Settings): void {
  const flag = findFlag('initial-cluster')
  const isDefault =
    settings.source === 'file'
      ? flag !== undefined && !settings.isChanged(flag)
      : !settings.isGiven('initial-cluster')
  const hasDiscovery =
    settings.get('discovery') !== '' ||
    settings.get('discovery-srv') !== '' ||
    settings.get('discovery-srv-name') !== '' ||
    settings.get('discovery-endpoints').length > 0
  if (isDefault && hasDiscovery && flag !== undefined) settings.set(flag, '')
}

/** What to log for a configuration that is going to run. */
function runNotices(settings: Settings, config: ServerConfig): readonly Notice[] {
  const notices: Notice[] = []
  if (settings.get('data-dir') === '') {
    const text = "'data-dir' was empty; using default"
    notices.push(notice('warn', text, { 'data-dir': config.dataDir }))
  }
  if (config.requestBytesMax > 10 * 1024 ** 2) {
    const fields = {
      'max-request-bytes': config.requestBytesMax,
      'recommended-request-bytes': 10 * 1024 ** 2,
    }
    notices.push(notice('warn', 'exceeded recommended request limit', fields))
  }
  return [...notices, ...tlsNotices(settings)]
}

interface Start {
  readonly settings: Settings
  readonly detectHost: DetectHost
  /** To be logged before anything else. */
  readonly first: readonly Notice[]
  /** The line that names the arguments. */
  readonly running: Notice
  /** To be logged once the settings hold. */
  readonly loaded: readonly Notice[]
}

/** The checks after reading: etcd's own first, then what this version does not have. */
function conclude(start: Start): ConfigOutcome {
  const { settings, first, running, loaded } = start
  const refuse = (why: readonly Notice[]): ConfigOutcome => ({
    kind: 'refuse',
    notices: [...first, running, ...why],
    exitCode: 1,
  })
  const refuseStart = (why: readonly Notice[]): ConfigOutcome => ({
    kind: 'refuse',
    notices: [...first, ...loaded, running, ...why],
    exitCode: 1,
  })
  const legacy = applyLegacyAddresses(settings)
  if (legacy !== undefined) return refuse(verifyFailureNotices(legacy))
  clearInitialCluster(settings)
  const problem = verifySettings(settings)
  if (problem?.kind === 'panic') {
    return { kind: 'refuse', notices: first, stderr: `panic: ${problem.text}\n`, exitCode: 2 }
  }
  if (problem !== undefined) return refuse(verifyFailureNotices(problem.text))
  const hostNotices = applyDefaultHost(settings, start.detectHost)
  const startError = startProblem(settings)
  if (startError !== undefined) return refuseStart(startFailureNotices(startError))
  const missing = missingFeature(settings)
  if (missing !== undefined) return refuseStart(verifyFailureNotices(missing))
  const config = buildConfig(settings)
  const notices = [...first, ...loaded, running, ...hostNotices, ...runNotices(settings, config)]
  return { kind: 'run', config, notices }
}

function parseFile(
  path: string,
  readFile: ReadFile,
  detectHost: DetectHost,
  running: Notice,
): ConfigOutcome {
  const refuse = (error: string): ConfigOutcome => ({
    kind: 'refuse',
    notices: [running, ...verifyFailureNotices(error)],
    exitCode: 1,
  })
  let text: string
  try {
    text = readFile(path)
  } catch (thrown) {
    return refuse(fileProblem(path, thrown))
  }
  const settings = new Settings('file')
  const read = applyConfigFile(text, settings)
  switch (read.kind) {
    case 'refused':
      return refuse(read.error)
    case 'exit':
      return { kind: 'refuse', notices: [], stderr: read.stderr, exitCode: read.exitCode }
    case 'applied': {
      const message =
        'loaded server configuration, other configuration command line flags and ' +
        'environment variables will be ignored if provided'
      const loaded = [notice('info', message, { path })]
      return conclude({ settings, detectHost, first: [], running, loaded })
    }
  }
}

/**
 * Reads the configuration of a server: command line, then environment, or instead of both a YAML
 * file. Nothing is logged or printed here; the outcome says what to do, in etcd's order and words.
 * `argv` is without the program's name; subcommands are the caller's affair. `detectHost` is
 * asked for the address to advertise when the listeners are open to every network
 * (default-host.ts).
 */
export function parseServerConfig(
  argv: readonly string[],
  environment: Environment,
  readFile: ReadFile,
  detectHost: DetectHost = () => undefined,
): ConfigOutcome {
  const settings = new Settings('command-line')
  const line = parseCommandLine(argv, settings)
  const running = notice('info', 'Running: ', { args: ['etcd', ...argv] })
  const refuse = (notices: readonly Notice[]): ConfigOutcome => ({
    kind: 'refuse',
    notices,
    exitCode: 1,
  })
  switch (line.kind) {
    case 'help':
      return { kind: 'print', stdout: flagsText(), stderr: `${usageText}\n`, exitCode: 0 }
    case 'refused': {
      const stderr = `${line.message}\n${usageText}\n`
      return { kind: 'print', stdout: '', stderr, exitCode: 2 }
    }
    case 'parsed': {
      const [word] = line.words
      if (word === undefined) break
      return refuse([running, ...verifyFailureNotices(`'${word}' is not a valid flag`)])
    }
  }
  if (settings.get('version')) {
    return { kind: 'print', stdout: versionText(), stderr: '', exitCode: 0 }
  }
  const path = settings.get('config-file') || environment.ETCD_CONFIG_FILE || ''
  if (path !== '') return parseFile(path, readFile, detectHost, running)
  const read = applyEnvironment(settings, environment)
  switch (read.kind) {
    case 'conflict':
      return refuse(read.notices)
    case 'refused':
      return refuse([...read.notices, running, ...verifyFailureNotices(read.error)])
    case 'applied': {
      const first = [...read.notices, ...commandLineNotices(settings)]
      return conclude({ settings, detectHost, first, running, loaded: [] })
    }
  }
}
