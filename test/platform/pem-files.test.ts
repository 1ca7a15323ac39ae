// Goal: files that are no certificate, no key, or no pair are refused in Go's words. Method: keys and certificates of the
// kind that --auto-tls makes, put in each other's places, and files that are not there.
import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { assertPair, fileStamp, readPath } from '../../src/platform/pem-files.js'
import { selfSignedCertificate } from '../../src/platform/self-signed.js'

const base = new URL('../../.tmp/', import.meta.url).pathname
let folder = ''
let cert = ''
let key = ''
beforeAll(async () => {
  mkdirSync(base, { recursive: true })
  folder = mkdtempSync(join(base, 'pem-'))
  const made = await selfSignedCertificate({
    ...{ directory: folder, hosts: ['localhost'], validityYears: 1, nowMs: Date.now() },
  })
  cert = readFileSync(made.certFile, 'utf8')
  key = readFileSync(made.keyFile, 'utf8')
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const newKey = (pair: { readonly privateKey: import('node:crypto').KeyObject }): string =>
  pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()

test('a pair is a pair', () => {
  expect(() => assertPair(cert, key)).not.toThrow()
  expect(() => assertPair(`${cert}${key}`, `${cert}${key}`)).not.toThrow()
})

test('everything else is told by name', () => {
  const sameKind = newKey(generateKeyPairSync('ec', { namedCurve: 'P-521' }))
  const otherKind = newKey(generateKeyPairSync('ed25519'))
  for (const [one, other, text] of [
    [cert, sameKind, 'tls: private key does not match public key'],
    [cert, otherKind, 'tls: private key type does not match public key type'],
    ['junk', key, 'tls: failed to find any PEM data in certificate input'],
    [cert, 'junk', 'tls: failed to find any PEM data in key input'],
    [cert, cert, 'tls: found a certificate rather than a key in the PEM for the private key'],
    [
      key,
      cert,
      'tls: failed to find certificate PEM data in certificate input, but did find a private ' +
        'key; PEM inputs may have been switched',
    ],
    [
      cert.replaceAll('CERTIFICATE', 'OTHER'),
      key,
      'tls: failed to find "CERTIFICATE" PEM block in certificate input after skipping PEM ' +
        'blocks of the following types: [OTHER]',
    ],
    [
      cert,
      key.replaceAll('PRIVATE KEY', 'OTHER'),
      'tls: failed to find PEM block with type ending in "PRIVATE KEY" in key input after ' +
        'skipping PEM blocks of the following types: [OTHER]',
    ],
  ] as const)
    expect(() => assertPair(one, other)).toThrow(new Error(text))
})

test('a file that is not there is told as Go tells it', () => {
  const missing = join(folder, 'none')
  const text = `open ${missing}: no such file or directory`
  expect(() => readPath(missing)).toThrow(text)
  expect(() => fileStamp(missing)).toThrow(text)
})
