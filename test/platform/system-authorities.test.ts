// Goal: whoever names no authority trusts what the machine trusts. Method: the variable that Go knows, set and unset.
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { systemAuthorities } from '../../src/platform/system-authorities.js'

test('SSL_CERT_FILE names the file; one that is missing leaves Node’s own authorities in force', () => {
  mkdirSync('.tmp', { recursive: true })
  const file = join(mkdtempSync(join('.tmp', 'authorities-')), 'ca.pem')
  writeFileSync(file, 'PEM')
  expect(systemAuthorities({ SSL_CERT_FILE: file })).toBe('PEM')
  expect(systemAuthorities({ SSL_CERT_FILE: `${file}.none` })).toBeUndefined()
})
