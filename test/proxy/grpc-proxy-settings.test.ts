// Goal: flags that contradict each other, or need what is not there, are told before anything starts. Method: command
// lines and the line that each ends with.
import { expect, test } from 'vitest'
import { parseCobra } from '../../src/proxy/cobra.js'
import { grpcProxyCommand, grpcProxyProblem } from '../../src/proxy/grpc-proxy-settings.js'

function problem(...words: readonly string[]): string | undefined {
  const outcome = parseCobra(grpcProxyCommand, ['start', ...words])
  if (outcome.kind !== 'run') throw new Error(outcome.stderr)
  return grpcProxyProblem(outcome.values)
}

test('the defaults are sound', () => {
  expect(problem()).toBeUndefined()
})

test.each([
  [['--resolver-prefix', 'x'], 'invalid resolver-ttl 0'],
  [['--resolver-ttl', '3'], 'invalid resolver-prefix ""'],
  [
    ['--resolver-prefix', 'x', '--resolver-ttl', '3', '--advertise-client-url='],
    'invalid advertise-client-url ""',
  ],
  [
    ['--auto-tls', '--self-signed-cert-validity', '0'],
    'selfSignedCertValidity is invalid,it should be greater than 0',
  ],
  [
    ['--tls-min-version', 'TLS1.1'],
    'unexpected TLS version "TLS1.1" (must be one of: TLS1.2, TLS1.3)',
  ],
  [['--cert', 'c'], 'KeyFile and CertFile must both be present[key: , cert: c]'],
  [['--key-file', 'k'], 'KeyFile and CertFile must both be present[key: k, cert: ]'],
  [['--enable-pprof'], '--enable-pprof: Node.js cannot make profiles in the format of Go'],
])('%j is refused', (words, line) => {
  expect(problem(...words)).toBe(line)
})
