/** What a run must not ask: each differs from run to run. */
const FORBIDDEN = ['setTimeout', 'setInterval', 'setImmediate', 'Date'] as const

function forbid(name: string): () => never {
  return () => {
    throw new Error(`${name} is outside the simulated world`)
  }
}

/**
 * Runs something with the clocks, timers and dice of Node out of reach: whoever touches them throws. A run only ever
 * yields to microtasks, so nobody else is there to miss them.
 */
export async function withoutRealWorld<T>(run: () => Promise<T>): Promise<T> {
  const globals = globalThis as unknown as Record<string, unknown>
  const kept = new Map<string, unknown>(FORBIDDEN.map((name) => [name, globals[name]]))
  const random = Math.random
  const now = performance.now
  const { hrtime } = process
  const { getRandomValues, randomUUID } = crypto
  for (const name of FORBIDDEN) globals[name] = forbid(name)
  Math.random = forbid('Math.random')
  performance.now = forbid('performance.now')
  process.hrtime = Object.assign(forbid('process.hrtime'), { bigint: forbid('process.hrtime') })
  Object.assign(crypto, {
    getRandomValues: forbid('crypto.getRandomValues'),
    randomUUID: forbid('crypto.randomUUID'),
  })
  try {
    return await run()
  } finally {
    for (const [name, value] of kept) globals[name] = value
    Math.random = random
    performance.now = now
    process.hrtime = hrtime
    Object.assign(crypto, { getRandomValues, randomUUID })
  }
}

/**
 * Runs something, and gives beside its result the promises that were rejected meanwhile without anybody having looked:
 * in the daemon each of them ends the process.
 */
export async function withRejections<T>(
  run: () => Promise<T>,
): Promise<{ readonly result: T; readonly rejections: readonly unknown[] }> {
  const rejections: unknown[] = []
  const onRejection = (reason: unknown): void => {
    rejections.push(reason)
  }
  process.on('unhandledRejection', onRejection)
  try {
    const result = await run()
    // Node tells of them between two turns of its event loop.
    await new Promise<void>((resolve) => setImmediate(resolve))
    return { result, rejections }
  } finally {
    process.off('unhandledRejection', onRejection)
  }
}
