/** The program contradicted itself. Never caught: the process ends with exit code 70. */
export class InvariantViolation extends Error {
  override readonly name = 'InvariantViolation'
}

/** Asserts what must be true here. `detail` runs only on failure, so it may be costly. */
export function invariant(
  condition: boolean,
  message: string,
  detail?: () => string,
): asserts condition {
  if (condition) return
  throw new InvariantViolation(detail === undefined ? message : `${message}: ${detail()}`)
}

/** Documents that both outcomes of `condition` happen here. */
export function possibly(condition: boolean): void {
  void condition
}

/** Ends every switch over a union: a new variant does not compile until it is handled. */
export function exhaustive(value: never): never {
  const shown =
    typeof value === 'object' && value !== null ? (value as { kind?: unknown }).kind : value
  throw new InvariantViolation(`unreachable variant: ${String(shown)}`)
}
