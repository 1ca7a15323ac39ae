import { type DestinationStream, destination, type Logger, pino } from 'pino'
import type { Log, LogFields } from '../ports/log.js'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'dpanic' | 'panic' | 'fatal'

export interface LogOptions {
  /** Lines below this are not written. */
  readonly level: LogLevel
  /** `json` is zap's shape; `console` is zap's tab-separated form. */
  readonly format: 'json' | 'console'
  /** `stderr`, `stdout` or file paths; `default` means stderr. */
  readonly outputs: readonly string[]
}

/** A Log that the process owns: it can also write the last line of a life, and be flushed. */
export interface ProcessLog extends Log {
  /** The line etcd writes at zap's fatal level; the caller ends the process. */
  fatal(message: string, fields?: LogFields): void
  flush(): void
}

/** pino has no level between error and fatal; nothing of ours is logged there. */
const PINO_LEVELS = {
  debug: 'debug',
  info: 'info',
  warn: 'warn',
  error: 'error',
  dpanic: 'fatal',
  panic: 'fatal',
  fatal: 'fatal',
} as const

function openOutput(output: string): DestinationStream & { flushSync?: () => void } {
  const dest = output === 'stdout' ? 1 : output === 'stderr' || output === 'default' ? 2 : output
  return destination({ dest, sync: true, mkdir: true })
}

/**
 * RFC 3339 with microseconds, as late 3.5 prints it (facts: ops.md 2). Node's wall clock has
 * milliseconds.
 */
function zapTime(): string {
  return `,"ts":"${new Date().toISOString().slice(0, -1)}000Z"`
}

/** One tab-separated line: time, level, message, fields as JSON. */
function consoleLine(line: string): string {
  const { level, ts, msg, ...fields } = JSON.parse(line) as Record<string, unknown>
  const rest = Object.keys(fields).length === 0 ? '' : `\t${JSON.stringify(fields)}`
  return `${String(ts)}\t${String(level)}\t${String(msg)}${rest}\n`
}

/** Logs through pino in zap's JSON shape: level, ts, msg, then the fields (facts: ops.md 2). */
export function createLog(options: LogOptions): ProcessLog {
  const outputs = options.outputs.map(openOutput)
  const stream: DestinationStream = {
    write(line: string): void {
      const text = options.format === 'json' ? line : consoleLine(line)
      for (const output of outputs) output.write(text)
    },
  }
  const logger: Logger = pino(
    {
      level: PINO_LEVELS[options.level],
      base: null,
      timestamp: options.format === 'json' ? zapTime : () => `,"ts":"${new Date().toISOString()}"`,
      messageKey: 'msg',
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  )
  return {
    isDebugEnabled: options.level === 'debug',
    debug: (message, fields) => logger.debug({ msg: message, ...fields }),
    info: (message, fields) => logger.info({ msg: message, ...fields }),
    warn: (message, fields) => logger.warn({ msg: message, ...fields }),
    error: (message, fields) => logger.error({ msg: message, ...fields }),
    fatal: (message, fields) => logger.fatal({ msg: message, ...fields }),
    flush: () => {
      for (const output of outputs) output.flushSync?.()
    },
  }
}
