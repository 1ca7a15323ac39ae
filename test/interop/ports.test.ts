// Goal: a port that was handed out stays its owner's while nobody listens on it, so that a test beside does not take the
// port of a member that is down, and talks to that member when it is back. Method: another process asks for it.
import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { freePort, reservationOf } from './support/ports.js'

/** Prints what comes of reserving the port that is named. */
const ASK = `
  const server = require('node:net').createServer()
  server.once('error', ({ code }) => console.log(code))
  server.listen({ path: process.argv[1].replace('@', '\\0') }, () => {
    console.log('free')
    server.close()
  })
`
const askElsewhere = (port: number): string =>
  execFileSync(process.execPath, ['-e', ASK, reservationOf(port).replace('\0', '@')], {
    encoding: 'utf8',
  }).trim()

test.skipIf(process.platform !== 'linux')('a port is handed out once', async () => {
  const [first, second] = [await freePort(), await freePort()]
  expect(first).not.toBe(second)
  expect([first, second].map(askElsewhere)).toEqual(['EADDRINUSE', 'EADDRINUSE'])
  expect(askElsewhere(1)).toBe('free')
})
