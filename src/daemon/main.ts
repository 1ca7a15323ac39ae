import { readFileSync } from 'node:fs'
import { InvariantViolation } from '../base/invariant.js'
import { detectDefaultHost } from '../config/default-host.js'
import type { Notice } from '../config/notice.js'
import { parseServerConfig } from '../config/parse-config.js'
import type { ServerConfig } from '../config/server-config.js'
import { nodeDisk } from '../platform/disk.js'
import { installFailpoints } from '../platform/failpoint-server.js'
import { createLog, type ProcessLog } from '../platform/log.js'
import { installNativeLatin1 } from '../platform/native-latin1.js'
import { findCommand } from './commands.js'
import {
  type DataDirectoryKind,
  forgetMember,
  identifyDataDirectory,
  NoDirectory,
} from './data-directory.js'
import { endOnContradictions, failureText, printOutcome, stopOnSignals } from './process-life.js'
import { EtcdServer } from './server.js'
import { isProxyWanted, proxyFallback, startFailure } from './start-failure.js'
import { notifySystemd } from './systemd.js'
import { initialPeerUrls, startV2Proxy } from './v2-proxy.js'

const FAILED_EXIT_CODE = 1

const readText = (path: string): string => readFileSync(path, 'utf8')

function logNotices(log: ProcessLog, notices: readonly Notice[]): void {
  for (const { level, message, fields } of notices) log[level](message, fields)
}

/** Runs the daemon with the arguments of its command line, without the program's name. */
export async function main(argv: readonly string[]): Promise<void> {
  installNativeLatin1()
  const command = findCommand(argv[0])
  if (command !== undefined) {
    const run = await command()
    await run(argv.slice(1))
    return
  }
  const outcome = parseServerConfig(argv, process.env, readText, () => detectDefaultHost(readText))
  if (outcome.kind === 'print') {
    printOutcome(outcome)
    return
  }
  const log = createLog(
    outcome.kind === 'run'
      ? outcome.config.log
      : { level: 'info', format: 'json', outputs: ['stderr'] },
  )
  logNotices(log, outcome.notices)
  if (outcome.kind === 'refuse') {
    process.stderr.write(outcome.stderr ?? '')
    process.exitCode = outcome.exitCode
    return
  }
  endOnContradictions(log)
  try {
    await installFailpoints(process.env)
  } catch (error) {
    process.stdout.write(`${failureText(error)}\n`)
    process.exit(FAILED_EXIT_CODE)
  }
  const kind = directoryKind(outcome.config, log)
  try {
    await serve(outcome.config, kind, log)
  } catch (error) {
    if (error instanceof InvariantViolation) throw error
    logNotices(log, startFailure(error, outcome.config))
    log.flush()
    process.exit(FAILED_EXIT_CODE)
  }
  notifySystemd(log)
}

/** A directory of two owners is nobody's: the process ends. */
function directoryKind({ dataDir }: ServerConfig, log: ProcessLog): DataDirectoryKind {
  try {
    return identifyDataDirectory(nodeDisk, dataDir, log)
  } catch (error) {
    const text = failureText(error)
    if (error instanceof NoDirectory)
      log.fatal('failed to list data directory', { dir: dataDir, error: text })
    else log.fatal(text)
    log.flush()
    process.exit(FAILED_EXIT_CODE)
  }
}

/** Serves as what the data directory belongs to; an empty one becomes what the flags ask for. */
async function serve(
  config: ServerConfig,
  kind: DataDirectoryKind,
  log: ProcessLog,
): Promise<void> {
  if (kind === 'proxy' || (kind === 'empty' && config.v2Proxy.mode !== 'off')) {
    await serveAsProxy(config, log)
    return
  }
  try {
    await serveAsMember(config, log)
  } catch (error) {
    if (kind !== 'empty' || !isProxyWanted(error, config)) throw error
    logNotices(log, proxyFallback(error))
    forgetMember(config.dataDir)
    await serveAsProxy(config, log)
  }
}

async function serveAsProxy(config: ServerConfig, log: ProcessLog): Promise<void> {
  const findPeerUrls = (): Promise<readonly string[]> => initialPeerUrls(config, log)
  const proxy = await startV2Proxy({ config, log, findPeerUrls })
  stopOnSignals(() => proxy.stop(), log)
}

async function serveAsMember(config: ServerConfig, log: ProcessLog): Promise<void> {
  let server: EtcdServer | undefined
  server = await EtcdServer.start({
    config,
    log,
    onEnd: (reason, message) => void end(server, log, reason, message),
  })
  const started = server
  stopOnSignals(() => started.stop(), log)
}

async function end(
  server: EtcdServer | undefined,
  log: ProcessLog,
  reason: 'failed' | 'removed',
  message: string,
): Promise<void> {
  if (reason === 'failed') {
    log.fatal(message)
    log.flush()
    process.exit(FAILED_EXIT_CODE)
  }
  log.error('server error', { error: message })
  log.warn('data-dir used by this member must be removed')
  await server?.stop()
  log.flush()
  process.exit(0)
}
