// Goal: listeners take up renewed certificates without a restart, and never a half-renewed pair. Method: self-signed
// certificates written to files, replaced, broken and mixed; real handshakes with what comes out.
import { X509Certificate } from 'node:crypto'
import { copyFileSync, mkdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect, createServer, getCiphers } from 'node:tls'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { opensslCipherName } from '../../src/base/cipher-suites.js'
import { selfSignedCertificate } from '../../src/platform/self-signed.js'
import { opensslCiphers, TlsIdentity, type TlsOptions } from '../../src/platform/tls.js'

const folder = join(import.meta.dirname, '../../.tmp/platform-tls')
const NOW_MS = Date.UTC(2026, 0, 1)
const used = { cert: join(folder, 'used.pem'), key: join(folder, 'used-key.pem') }
let first: { readonly certFile: string; readonly keyFile: string }
let second: { readonly certFile: string; readonly keyFile: string }

const make = (name: string, hosts: readonly string[]) =>
  selfSignedCertificate({ directory: join(folder, name), hosts, validityYears: 2, nowMs: NOW_MS })

beforeAll(async () => {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  first = await make('first', ['localhost', '127.0.0.1', '::1'])
  second = await make('second', ['localhost'])
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))
beforeEach(() => {
  copyFileSync(first.certFile, used.cert)
  copyFileSync(first.keyFile, used.key)
})

const identity = (options: Partial<TlsOptions> = {}): TlsIdentity =>
  new TlsIdentity({
    certFile: used.cert,
    keyFile: used.key,
    clientCertFile: '',
    clientKeyFile: '',
    trustedCaFile: '',
    clientCertAuth: false,
    minVersion: 'TLS1.2',
    maxVersion: undefined,
    cipherSuites: [],
    skipServerVerification: false,
    ...options,
  })

const serialOf = (pem: unknown): string => new X509Certificate(String(pem)).serialNumber

describe('a self-signed certificate', () => {
  test('is for the hosts given, of organisation etcd, on P-521, for the years given', async () => {
    const certificate = new X509Certificate(String(identity().serverOptions().cert))
    expect(certificate.subject).toBe('O=etcd')
    expect(certificate.issuer).toBe('O=etcd')
    expect(certificate.ca).toBe(true)
    expect(certificate.checkHost('localhost')).toBe('localhost')
    expect(certificate.checkHost('other')).toBeUndefined()
    expect(certificate.checkIP('127.0.0.1')).toBe('127.0.0.1')
    expect(certificate.checkIP('::1')).toBe('::1')
    expect(Date.parse(certificate.validFrom)).toBe(NOW_MS)
    expect(Date.parse(certificate.validTo)).toBe(NOW_MS + 2 * 365 * 24 * 3600 * 1000)
    expect(certificate.publicKey.asymmetricKeyDetails?.namedCurve).toBe('secp521r1')
    expect(certificate.verify(certificate.publicKey)).toBe(true)
  })

  test('is used again when it is there, and is readable by its owner only', async () => {
    const before = statSync(first.certFile).mtimeMs
    expect(await make('first', ['elsewhere'])).toEqual(first)
    expect(statSync(first.certFile).mtimeMs).toBe(before)
    expect(statSync(first.keyFile).mode & 0o777).toBe(0o600)
  })
})

describe('TlsIdentity', () => {
  test('gives the same options until the files change, then the new ones', () => {
    const tls = identity()
    const before = tls.serverOptions()
    expect(tls.serverOptions()).toBe(before)
    expect(tls.generation).toBe(1)
    copyFileSync(second.certFile, used.cert)
    copyFileSync(second.keyFile, used.key)
    const after = tls.serverOptions()
    expect(serialOf(after.cert)).not.toBe(serialOf(before.cert))
    expect(tls.generation).toBe(2)
    expect(serialOf(tls.clientOptions().cert)).toBe(serialOf(after.cert))
  })

  test('keeps the last good pair while certificate and key do not belong together', () => {
    const tls = identity()
    const before = tls.serverOptions()
    copyFileSync(second.certFile, used.cert)
    expect(tls.serverOptions()).toBe(before)
    expect(tls.clientOptions().cert).toBe(before.cert)
    copyFileSync(second.keyFile, used.key)
    expect(serialOf(tls.serverOptions().cert)).not.toBe(serialOf(before.cert))
  })

  test('takes up a certificate renewed while its key was out of sight', () => {
    const tls = identity()
    const before = tls.serverOptions()
    renameSync(used.key, `${used.key}.away`)
    writeFileSync(used.cert, `${String(before.cert)}\n`)
    expect(tls.serverOptions()).toBe(before)
    renameSync(`${used.key}.away`, used.key)
    expect(tls.serverOptions()).not.toBe(before)
    expect(tls.generation).toBe(2)
  })

  test('does not start with a pair that is missing or mixed', () => {
    expect(() => identity({ certFile: join(folder, 'none.pem') })).toThrow(
      'no such file or directory',
    )
    expect(() => identity({ keyFile: second.keyFile })).toThrow(
      'tls: private key does not match public key',
    )
    expect(() => identity({ trustedCaFile: join(folder, 'none.pem') })).toThrow(
      'no such file or directory',
    )
  })

  test('asks for a client certificate when told to, or when there is a trusted CA', () => {
    expect(identity().asksForClientCertificate).toBe(false)
    expect(identity({ clientCertAuth: true }).asksForClientCertificate).toBe(true)
    expect(identity({ trustedCaFile: first.certFile }).asksForClientCertificate).toBe(true)
  })

  test('dials with its own pair when one is given', () => {
    const tls = identity({ clientCertFile: second.certFile, clientKeyFile: second.keyFile })
    expect(serialOf(tls.clientOptions().cert)).not.toBe(serialOf(tls.serverOptions().cert))
  })

  test('passes versions, suites and trust on', () => {
    const tls = identity({
      trustedCaFile: first.certFile,
      minVersion: 'TLS1.3',
      maxVersion: 'TLS1.3',
      cipherSuites: ['TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256'],
      skipServerVerification: true,
    })
    expect(tls.serverOptions()).toMatchObject({ minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' })
    expect(tls.serverOptions().ciphers).toContain('ECDHE-ECDSA-AES128-GCM-SHA256')
    expect(tls.clientOptions().rejectUnauthorized).toBe(false)
    expect(identity().clientOptions().rejectUnauthorized).toBe(true)
  })

  test('makes handshakes that verify on both sides, and end without a certificate', async () => {
    const tls = identity({ trustedCaFile: first.certFile, clientCertAuth: true })
    const server = createServer({
      ...tls.serverOptions(),
      requestCert: true,
      rejectUnauthorized: true,
    })
    server.on('tlsClientError', () => undefined)
    server.on('secureConnection', (socket) => socket.end('hello'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const greet = (options: object): Promise<string> =>
      new Promise((resolve) => {
        let text = ''
        const socket = connect({ port, host: '127.0.0.1', ...options })
        socket.on('data', (data) => {
          text += data.toString()
        })
        socket.on('error', () => undefined)
        socket.on('close', () => resolve(text))
      })
    try {
      expect(await greet(tls.clientOptions())).toBe('hello')
      const { cert: _cert, key: _key, ...anonymous } = tls.clientOptions()
      expect(await greet(anonymous)).toBe('')
    } finally {
      server.close()
    }
  })
})

describe('cipher suites', () => {
  test('have the names of OpenSSL, before them those of TLS 1.3', () => {
    expect(opensslCiphers([])).toBeUndefined()
    expect(opensslCiphers(['TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384'])).toBe(
      'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:' +
        'ECDHE-RSA-AES256-GCM-SHA384',
    )
  })

  test.each([
    'TLS_RSA_WITH_AES_128_CBC_SHA',
    'TLS_RSA_WITH_AES_256_CBC_SHA',
    'TLS_RSA_WITH_AES_128_CBC_SHA256',
    'TLS_RSA_WITH_AES_128_GCM_SHA256',
    'TLS_RSA_WITH_AES_256_GCM_SHA384',
    'TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA',
    'TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA',
    'TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256',
    'TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA',
    'TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA',
    'TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256',
    'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256',
    'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384',
    'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
    'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384',
    'TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305',
    'TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256',
    'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305',
    'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256',
  ])('%s has the name that the configuration gives it, and OpenSSL knows it', (name) => {
    const ciphers = opensslCiphers([name])
    expect(ciphers?.split(':')[3]).toBe(opensslCipherName(name))
    expect(getCiphers()).toContain(opensslCipherName(name)?.toLowerCase())
  })

  test('of TLS 1.3 are always offered, so naming one changes nothing', () => {
    expect(opensslCiphers(['TLS_AES_128_GCM_SHA256'])?.split(':')).toHaveLength(3)
  })
})
