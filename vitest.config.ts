import { defineConfig } from 'vitest/config'

const node = { environment: 'node' as const, testTimeout: 20_000, hookTimeout: 30_000 }
const apart = ['test/interop/**', 'test/simulation/**', 'test/crash/**', 'test/tidy.test.ts']

/** `unit` needs only Node and npm; `interop`, `simulation` and `crash` are what .ci/run adds. */
export default defineConfig({
  test: {
    projects: [
      { test: { ...node, name: 'unit', include: ['test/**/*.test.ts'], exclude: apart } },
      { test: { ...node, name: 'tidy', include: ['test/tidy.test.ts'] } },
      {
        test: {
          ...node,
          name: 'interop',
          include: ['test/interop/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          ...node,
          name: 'simulation',
          include: ['test/simulation/**/*.test.ts'],
          testTimeout: 300_000,
        },
      },
      {
        test: {
          ...node,
          name: 'crash',
          include: ['test/crash/**/*.test.ts'],
          testTimeout: 900_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
