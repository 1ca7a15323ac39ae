// Runs inside a network namespace of its own and keeps it alive. Each `NAME=ADDRESS/BITS` becomes an interface with that
// address; each `PORT` of 127.0.0.1 leads to the socket file `PORT` in the working folder, whose other end is outside:
// files are shared where networks are not. Prints `ready`; ends when its standard input does.
import { execFileSync } from 'node:child_process'
import { connect, createServer } from 'node:net'

const ip = (...words) => execFileSync('/usr/sbin/ip', words)
ip('link', 'set', 'lo', 'up')
const words = process.argv.slice(2)
for (const [name, address] of words.filter((word) => word.includes('=')).map((w) => w.split('='))) {
  ip('link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}-end`)
  ip('addr', 'add', address, 'dev', name)
  for (const end of [name, `${name}-end`]) ip('link', 'set', end, 'up')
}
const ports = words.filter((word) => !word.includes('='))
await Promise.all(
  ports.map((port) => {
    const server = createServer((socket) => {
      // A bare number would be taken for a port.
      const outside = connect(`./${port}`)
      for (const [from, to] of [
        [socket, outside],
        [outside, socket],
      ]) {
        from.on('error', () => to.destroy())
        from.pipe(to)
      }
    })
    return new Promise((resolve) => server.listen(Number(port), '127.0.0.1', resolve))
  }),
)
process.stdout.write('ready\n')
process.stdin.on('end', () => process.exit(0)).resume()
