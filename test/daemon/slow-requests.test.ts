// A request whose head never ends must not hold its connection for ever, though the server never
// listens itself. Method: a server with short time-outs is handed one end of a loopback connection;
// the other end sends half a head.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect, createServer as createTcpServer } from 'node:net'
import { expect, test } from 'vitest'
import { watchSlowRequests } from '../../src/daemon/slow-requests.js'

test('half a request head is answered with 408 and the connection ends', async () => {
  const http = createServer({
    headersTimeout: 100,
    requestTimeout: 200,
    connectionsCheckingInterval: 50,
  })
  watchSlowRequests(http)
  const listener = createTcpServer((socket) => http.emit('connection', socket))
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const address = listener.address()
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0
  const client = connect(port, '127.0.0.1')
  client.write('GET / HTTP/1.1\r\nHost: a')
  let answer = ''
  client.on('data', (chunk) => {
    answer += chunk.toString()
  })
  await once(client, 'close')
  expect(answer).toContain('408 Request Timeout')
  listener.close()
  http.close()
})
