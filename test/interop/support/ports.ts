import { createServer } from 'node:net'

/**
 * Ports are taken below the system's ephemeral range (from 32768), so that no outgoing connection sits on the port
 * of a member that is down for a moment. The start differs by process: runs side by side rarely meet.
 */
const FIRST_PORT = 20_000
const PORT_COUNT = 12_000
let next = (process.pid * 61) % PORT_COUNT

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

/** A port of 127.0.0.1 that nobody listens on and that this process has not handed out lately. */
export async function freePort(): Promise<number> {
  for (let tried = 0; tried < PORT_COUNT; tried += 1) {
    const port = FIRST_PORT + next
    next = (next + 1) % PORT_COUNT
    if (await isFree(port)) return port
  }
  throw new Error(`no free port from ${FIRST_PORT} to ${FIRST_PORT + PORT_COUNT}`)
}
