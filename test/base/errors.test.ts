// Goal: clients match on our texts and codes, so they are etcd's. Method: the catalogue is held beside the table of
// the fact sheets when those lie beside this repository, and beside docs/errors.md always.
import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { DaemonError, type ErrorCode, type ErrorDefinition, errors } from '../../src/base/errors.js'
import { errorsPage, GRPC_STATUS_NAMES } from '../../tools/errors-docs.js'
import { golden } from '../config/golden.js'

const catalogue = Object.entries(errors) as readonly [ErrorCode, ErrorDefinition][]

/** Texts that etcd has outside its table of client errors, or that are ours. */
const BESIDE_THE_TABLE: readonly ErrorCode[] = [
  'TIMEOUT_LEADER_TRANSFER',
  'NOT_PRIMARY_LESSOR',
  'INTERNAL',
]

describe('the catalogue', () => {
  test('is what docs/errors.md says', () => {
    const page = errorsPage()
    expect(golden('docs/errors.md', page)).toBe(page)
  })

  test('has one code a text, and statuses that gRPC knows', () => {
    expect(new Set(catalogue.map(([, { message }]) => message)).size).toBe(catalogue.length)
    for (const [code, { grpc, message }] of catalogue) {
      expect(code).toMatch(/^[A-Z][A-Z_]+$/)
      expect(GRPC_STATUS_NAMES[grpc]).toBeDefined()
      expect(grpc).toBeGreaterThan(0)
      if (code !== 'NOT_PRIMARY_LESSOR') expect(message).toMatch(/^etcdserver: /)
    }
  })

  test('calls an error of the client never retryable', () => {
    const own = catalogue.filter(([code]) => code !== 'AUTH_OLD_REVISION')
    for (const [, { grpc, retryable }] of own)
      if (grpc === 3 || grpc === 5) expect(retryable).toBe(false)
  })

  const facts = new URL('../../../shared/facts/v3-api.md', import.meta.url)
  test.skipIf(!existsSync(facts))(
    'has every text and status of the fact sheet, and no other',
    () => {
      const text = readFileSync(facts, 'utf8')
      const section = text.slice(
        text.indexOf('## 9. Error table'),
        text.indexOf('Total 63 strings'),
      )
      const rows = [...section.matchAll(/^\| (etcdserver: .*?) \|(.*)\|$/gm)].map((match) => {
        const message = (match[1] ?? '').replace(/ \(3\.[45].*\)$|\(3\.6\+\)$/, '').trim()
        const cell = match[2] ?? ''
        const sentAs = /sent as Unknown (\d+)/.exec(cell)?.[1]
        return [message, Number(sentAs ?? /(\d+)/.exec(cell)?.[1])] as const
      })
      expect(rows.length).toBeGreaterThan(60)
      const ours = catalogue
        .filter(([code]) => !BESIDE_THE_TABLE.includes(code))
        .map(([, { message, grpc }]) => [message, grpc] as const)
      const theirs = rows.map(
        ([message, grpc]) => [message.replace(/ \(3\.6\+\)$/, ''), grpc] as const,
      )
      expect(Object.fromEntries(ours)).toEqual(Object.fromEntries(theirs))
    },
  )
})

describe('DaemonError', () => {
  test('takes its text and status from the catalogue', () => {
    const error = new DaemonError('NO_LEADER')
    expect(error).toMatchObject({
      name: 'DaemonError',
      code: 'NO_LEADER',
      message: 'etcdserver: no leader',
      grpcStatus: 14,
      retryable: true,
    })
    expect(error.cause).toBeUndefined()
  })

  test('keeps the cause of what was thrown elsewhere, and does not show it', () => {
    const cause = new Error('EIO')
    const error = DaemonError.from(cause)
    expect(error.code).toBe('INTERNAL')
    expect(error.cause).toBe(cause)
    expect(error.message).not.toContain('EIO')
    expect(DaemonError.from(error)).toBe(error)
    expect(new DaemonError('INTERNAL', { message: 'as it is' }).message).toBe('as it is')
  })
})
