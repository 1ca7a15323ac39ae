/** Mutated input of a printed seed: the server neither throws nor grows, and still answers what is right. */
import { expect, test } from 'vitest'
import { fuzzHttp2 } from '../../bench/fuzz-http2.js'
import { EchoState, echoMethods } from './echo-service.js'

const cases = Number(process.env.FUZZ_CASES ?? 20_000)
const seed = Number(process.env.FUZZ_SEED ?? Date.now() & 0x7fff_ffff)

test(`${cases} mutated pieces of seed ${seed} harm nobody`, { timeout: 3_600_000 }, async () => {
  const methods = echoMethods(new EchoState()).filter(({ path }) => !path.endsWith('Count'))
  const paths = [...methods.map(({ path }) => path), '/test.Echo/None', '/none']
  const result = await fuzzHttp2({ seed, cases, methods, paths })
  expect(result.errors).toEqual([])
  expect(result.answered).toBeGreaterThan(cases / 20)
  expect(result.heapGrowthBytes).toBeLessThan(100_000_000)
})
