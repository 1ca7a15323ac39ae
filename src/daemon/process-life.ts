import { InvariantViolation } from '../base/invariant.js'
import type { ProcessLog } from '../platform/log.js'

/** Exit code after the program contradicted itself. */
const INVARIANT_EXIT_CODE = 70
const SIGNALS = ['SIGINT', 'SIGTERM'] as const

/** The end of a process that was only asked for a text: `--help`, or words it does not know. */
export function printOutcome(outcome: {
  readonly stdout: string
  readonly stderr: string
  readonly exitCode: number
}): void {
  process.stdout.write(outcome.stdout)
  process.stderr.write(outcome.stderr)
  process.exitCode = outcome.exitCode
}

/** What an operator is told of a failure. A contradiction of the program is none: it goes on up. */
export function failureText(error: unknown): string {
  if (error instanceof InvariantViolation) throw error
  return error instanceof Error ? error.message : String(error)
}

/** Nothing may go on after the program contradicted itself, least of all acknowledging writes. */
export function endOnContradictions(log: ProcessLog): void {
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
export function stopOnSignals(stop: () => Promise<void>, log: ProcessLog): void {
  for (const signal of SIGNALS) {
    process.once(signal, () => {
      log.info('received signal; shutting down', {
        signal: signal === 'SIGTERM' ? 'terminated' : 'interrupt',
      })
      void stop().then(() => {
        log.flush()
        if (process.pid === 1) process.exit(0)
        for (const other of SIGNALS) process.removeAllListeners(other)
        process.kill(process.pid, signal)
      })
    })
  }
}
