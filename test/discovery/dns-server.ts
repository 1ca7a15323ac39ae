import { createSocket } from 'node:dgram'
import { type Answer, decode, encode } from 'dns-packet'

/** What a server answers to a name: records, or a code of failure. */
export type Zone = Readonly<Record<string, readonly Answer[] | 'SERVFAIL'>>

const RESPONSE_CODES = { NXDOMAIN: 3, SERVFAIL: 2 } as const

/** A DNS server on a free port of 127.0.0.1; names that are not in its zone do not exist. */
export async function serveDns(
  zone: Zone,
): Promise<{ server: string; asked: string[]; close(): void }> {
  const asked: string[] = []
  const socket = createSocket('udp4')
  socket.on('message', (message, from) => {
    const { id, questions = [] } = decode(message)
    const name = questions[0]?.name ?? ''
    asked.push(name)
    const found = zone[name]
    const code =
      found === undefined
        ? RESPONSE_CODES.NXDOMAIN
        : found === 'SERVFAIL'
          ? RESPONSE_CODES.SERVFAIL
          : 0
    const answers = typeof found === 'object' ? [...found] : []
    const reply = encode({ type: 'response', id: id ?? 0, flags: code, questions, answers })
    socket.send(reply, from.port, from.address)
  })
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  return { server: `127.0.0.1:${socket.address().port}`, asked, close: () => socket.close() }
}
