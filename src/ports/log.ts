/** The door to the log. Types only. */

export type LogFields = Readonly<Record<string, unknown>>

/**
 * Structured log, one line an event. Messages are constant texts (tools wait for some); details are
 * fields.
 */
export interface Log {
  /** Whether debug lines are written: callers skip costly formatting when not. */
  readonly isDebugEnabled: boolean
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
}
