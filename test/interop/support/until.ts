/** Waits `ms` milliseconds. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/**
 * Asks again and again until `probe` answers something other than `undefined` or `false`, and gives that answer.
 * A probe that throws counts as "not yet". Throws after `withinMs` (20 s unless told) with the last error's text.
 */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  withinMs = 20_000,
): Promise<T> {
  const end = Date.now() + withinMs
  let last = ''
  while (Date.now() < end) {
    try {
      const answer = await probe()
      if (answer !== undefined && answer !== false) return answer
      last = ''
    } catch (error) {
      last = error instanceof Error ? error.message : String(error)
    }
    await pause(50)
  }
  throw new Error(`not within ${withinMs} ms: ${what}${last === '' ? '' : ` (last: ${last})`}`)
}
