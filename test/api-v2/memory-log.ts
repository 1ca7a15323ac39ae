import type { Log, LogFields } from '../../src/ports/log.js'

/** A log that keeps its lines. */
export class MemoryLog implements Log {
  readonly isDebugEnabled = false
  readonly lines: { readonly message: string; readonly fields: LogFields }[] = []

  debug(): void {}

  info(message: string, fields: LogFields = {}): void {
    this.lines.push({ message, fields })
  }

  warn(message: string, fields: LogFields = {}): void {
    this.lines.push({ message, fields })
  }

  error(message: string, fields: LogFields = {}): void {
    this.lines.push({ message, fields })
  }
}
