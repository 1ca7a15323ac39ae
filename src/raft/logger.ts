/**
 * Where the core's log lines go. The texts are etcd's own, because operators and tools know them.
 * A line comes as a closure, so that nothing is formatted for a level that is off.
 */
export interface RaftLogger {
  debug(text: () => string): void
  info(text: () => string): void
  warning(text: () => string): void
  error(text: () => string): void
}

const ignore = (): void => undefined

/** Drops every line. */
export const silentLogger: RaftLogger = {
  debug: ignore,
  info: ignore,
  warning: ignore,
  error: ignore,
}
