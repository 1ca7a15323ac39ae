/** Severity of a log line; `fatal` is followed by the end of the process. */
export type NoticeLevel = 'info' | 'warn' | 'error' | 'fatal'

/**
 * Something to log once the logger exists. The configuration is read before the logger is known,
 * so it collects its lines; the caller writes them in order, shaped as zap does.
 */
export interface Notice {
  readonly level: NoticeLevel
  /** The `msg` of the line: etcd's words. */
  readonly message: string
  /** The fields after `msg`, in order. */
  readonly fields: Readonly<Record<string, string | number | readonly string[]>>
}

/** Builds a notice; most have no fields. */
export function notice(level: NoticeLevel, message: string, fields: Notice['fields'] = {}): Notice {
  return { level, message, fields }
}
