import { expect, test } from 'vitest'
import { withoutRealWorld, withRejections } from './guard.js'

// Goal: what a run must not do is seen. Method: runs that do it.

test('a run that sets a timer of the machine fails, and afterwards timers are there again', async () => {
  await expect(withoutRealWorld(async () => setTimeout(() => undefined, 0))).rejects.toThrow(
    'outside the simulated',
  )
  await new Promise((resolve) => setTimeout(resolve, 0))
})

test('a rejection is told only when nobody looks at it', async () => {
  const looked = await withRejections(async () => {
    await Promise.reject(new Error('seen')).catch(() => undefined)
    return 1
  })
  expect(looked).toEqual({ result: 1, rejections: [] })
  const listeners = process.listeners('unhandledRejection')
  process.removeAllListeners('unhandledRejection')
  try {
    const missed = await withRejections(async () => {
      void Promise.reject(new Error('nobody looks'))
      return 2
    })
    expect(missed).toEqual({ result: 2, rejections: [new Error('nobody looks')] })
  } finally {
    for (const listener of listeners) process.on('unhandledRejection', listener)
  }
})
