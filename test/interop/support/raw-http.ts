import { connect } from 'node:net'

/** What came back, before anybody interpreted it. */
export interface RawResponse {
  readonly status: number
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

/** Within this time whoever answers at all has begun to, on a machine that stalls too. */
const ANSWERED_WITHIN_MS = 15_000

/**
 * Sends these bytes on a new connection and gives everything that comes until the other side closes, or is silent for
 * `idleMs`; before its first byte, for `firstMs`.
 */
export function exchange(
  url: string,
  bytes: string | Uint8Array,
  idleMs = 5000,
  firstMs = idleMs,
): Promise<string> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve) => {
    let received = ''
    const socket = connect(Number(port), hostname)
    socket.setEncoding('latin1').on('data', (text: string) => {
      received += text
      socket.setTimeout(idleMs)
    })
    socket.setTimeout(firstMs, () => socket.destroy())
    socket.on('error', () => {})
    socket.on('close', () => resolve(received))
    socket.write(bytes)
  })
}

function withoutChunks(text: string): string {
  let body = ''
  for (let rest = text; ; ) {
    const size = Number.parseInt(rest, 16)
    const start = rest.indexOf('\r\n') + 2
    if (!(size > 0) || start < 2) return body
    body += rest.slice(start, start + size)
    rest = rest.slice(start + size + 2)
  }
}

/** Sends bytes that are answered; as `exchange`, but the answer may take its time to begin. */
export function exchangeForAnswer(
  url: string,
  bytes: string | Uint8Array,
  idleMs = 5000,
): Promise<string> {
  return exchange(url, bytes, idleMs, ANSWERED_WITHIN_MS)
}

/** One HTTP/1.1 request as curl would send it; the target is sent as it stands, uncleaned. */
export async function request(
  url: string,
  target: string,
  options: Readonly<{ method?: string; host?: string; idleMs?: number }> = {},
): Promise<RawResponse> {
  const { method = 'GET', host = new URL(url).host, idleMs = 5000 } = options
  const lines = [`${method} ${target} HTTP/1.1`, `Host: ${host}`, 'Connection: close']
  const text = await exchangeForAnswer(url, `${lines.join('\r\n')}\r\n\r\n`, idleMs)
  const [head = '', ...rest] = text.split('\r\n\r\n')
  const [first = '', ...fields] = head.split('\r\n')
  const parsed = fields.map((field): [string, string] => {
    const colon = field.indexOf(':')
    return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()]
  })
  const body = rest.join('\r\n\r\n')
  const all = new Map(parsed)
  const isChunked = all.get('transfer-encoding') === 'chunked'
  return {
    status: Number(first.split(' ')[1]),
    headers: all,
    body: isChunked ? withoutChunks(body) : body,
  }
}
