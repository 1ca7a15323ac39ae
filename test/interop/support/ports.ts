import { createServer, type Server } from 'node:net'

/**
 * Ports are taken below the system's ephemeral range (from 32768), so that no outgoing connection sits on the port
 * of a member that is down for a moment. The start differs by process: runs side by side rarely meet.
 */
const FIRST_PORT = 20_000
const PORT_COUNT = 12_000
let next = (process.pid * 61) % PORT_COUNT

/** What this process has handed out: kept as long as it lives. */
const reservations: Server[] = []

/**
 * The name under which a port is reserved, in Linux's abstract namespace of sockets: it ends with its process, and
 * holds for whoever shares the network. Elsewhere ports are not reserved.
 */
export const reservationOf = (port: number): string => `\0etcd-test-port-${port}`

/** Resolves with the server when it could listen there, else with undefined. */
function listen(
  where: { port: number; host: string } | { path: string },
): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(undefined))
    server.listen({ ...where, exclusive: true }, () => resolve(server))
  })
}

async function isFree(port: number): Promise<boolean> {
  const server = await listen({ port, host: '127.0.0.1' })
  if (server === undefined) return false
  await new Promise((resolve) => server.close(resolve))
  return true
}

/**
 * A port whose owner is down looks free. Whoever took it then would have its clients served by that owner when it is
 * back, and these would write into a store that is not theirs.
 */
async function maybeReserve(port: number): Promise<boolean> {
  if (process.platform !== 'linux') return true
  const reservation = await listen({ path: reservationOf(port) })
  if (reservation === undefined) return false
  reservation.unref()
  reservations.push(reservation)
  return true
}

/**
 * A port of 127.0.0.1 that nobody listens on, and that neither this process has handed out lately nor any other that
 * still runs.
 */
export async function freePort(): Promise<number> {
  for (let tried = 0; tried < PORT_COUNT; tried += 1) {
    const port = FIRST_PORT + next
    next = (next + 1) % PORT_COUNT
    if ((await isFree(port)) && (await maybeReserve(port))) return port
  }
  throw new Error(`no free port from ${FIRST_PORT} to ${FIRST_PORT + PORT_COUNT}`)
}
