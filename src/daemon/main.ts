import { readFileSync } from 'node:fs'
import { InvariantViolation } from '../base/invariant.js'
import { detectDefaultHost } from '../config/default-host.js'
import type { Notice } from '../config/notice.js'
import { parseServerConfig } from '../config/parse-config.js'
import { installFailpoints } from '../platform/failpoint-server.js'
import { createLog, type ProcessLog } from '../platform/log.js'
import { installNativeLatin1 } from '../platform/native-latin1.js'
import { findCommand } from './commands.js'
import { EtcdServer } from './server.js'
import { startFailure } from './start-failure.js'
import { notifySystemd } from './systemd.js'

/** Exit code after the program contradicted itself. */
const INVARIANT_EXIT_CODE = 70
const FAILED_EXIT_CODE = 1
const SIGNALS = ['SIGINT', 'SIGTERM'] as const

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
    process.stdout.write(outcome.stdout)
    process.stderr.write(outcome.stderr)
    process.exitCode = outcome.exitCode
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
    process.stdout.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exit(FAILED_EXIT_CODE)
  }
  let server: EtcdServer | undefined
  try {
    server = await EtcdServer.start({
      config: outcome.config,
      log,
      onEnd: (reason, message) => void end(server, log, reason, message),
    })
  } catch (error) {
    if (error instanceof InvariantViolation) throw error
    logNotices(log, startFailure(error, outcome.config))
    log.flush()
    process.exit(FAILED_EXIT_CODE)
  }
  stopOnSignals(server, log)
  notifySystemd(log)
}

/** Nothing may go on after the program contradicted itself, least of all acknowledging writes. */
function endOnContradictions(log: ProcessLog): void {
  const onError = (error: unknown): void => {
    const shown = error instanceof Error ? (error.stack ?? error.message) : String(error)
    log.fatal('the process contradicted itself and ends', { error: shown })
    log.flush()
    process.exit(INVARIANT_EXIT_CODE)
  }
  process.on('uncaughtException', onError)
  process.on('unhandledRejection', onError)
}

/** Stops in order, then ends by the same signal, as etcd does: supervisors look at that. */
function stopOnSignals(server: EtcdServer, log: ProcessLog): void {
  for (const signal of SIGNALS) {
    process.once(signal, () => {
      log.info('received signal; shutting down', {
        signal: signal === 'SIGTERM' ? 'terminated' : 'interrupt',
      })
      void server.stop().then(() => {
        log.flush()
        if (process.pid === 1) process.exit(0)
        for (const other of SIGNALS) process.removeAllListeners(other)
        process.kill(process.pid, signal)
      })
    })
  }
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
