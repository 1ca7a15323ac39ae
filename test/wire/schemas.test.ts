// Goal: our bytes are protobuf's. Method: generated messages of every type cross between our codecs and protobufjs,
// which reads the schemas in proto/, in both directions.
import fc from 'fast-check'
import type protobuf from 'protobufjs'
import { describe, expect, test } from 'vitest'
import type { Field } from '../../src/wire/codec.js'
import { type AnyCodec, allCodecs, loadSchemas, messageArbitrary, type Whole } from './codecs.js'

const schemas = loadSchemas()
const TYPES: Readonly<Record<string, string>> = {
  counter: 'uint64',
  id: 'uint64',
  signedCounter: 'int64',
  signedId: 'int64',
}
const is64Bit = (field: Field<unknown>): boolean =>
  ['counter', 'signedCounter', 'id', 'signedId'].includes(field.scalar)

function isDefault(field: Field<unknown>, value: unknown): boolean {
  if (field.scalar === 'enum') return value === field.names?.[0]
  if (value instanceof Uint8Array) return value.length === 0
  return value === '' || value === 0 || value === 0n || value === false
}

function theirField(field: Field<unknown>, value: unknown): unknown {
  const codec = field.message?.()
  if (codec !== undefined) return toTheirs(codec, value as Whole)
  if (is64Bit(field)) return String(value)
  return value instanceof Uint8Array ? Buffer.from(value) : value
}

/** The message as protobufjs takes it; what proto3 leaves out is left out. */
function toTheirs(codec: AnyCodec, whole: Whole): Record<string, unknown> {
  const type = schemas.lookupType(codec.name)
  const out: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(codec.fields)) {
    const value = whole[name]
    const theirs = type.fieldsById[field.number]
    expect(theirs, `${codec.name}.${name}`).toBeDefined()
    if (theirs === undefined || value === undefined) continue
    if (field.presence === 'repeated') {
      out[theirs.name] = (value as readonly unknown[]).map((item) => theirField(field, item))
    } else if (field.presence !== 'implicit' || !isDefault(field, value)) {
      out[theirs.name] = theirField(field, value)
    }
  }
  return out
}

/** What protobufjs should show of the message: every field, absent ones with their default. */
function shown(type: protobuf.Type, bytes: Uint8Array): unknown {
  expect(type.verify(type.decode(bytes))).toBeNull()
  return type.toObject(type.decode(bytes), { longs: String, enums: String, bytes: Buffer })
}

const hasPackedDifference = (codec: AnyCodec): boolean =>
  Object.values(codec.fields).some(
    (field) =>
      (field.presence === 'repeated' &&
        !['bytes', 'string', 'message'].includes(field.scalar) &&
        !codec.name.startsWith('raftpb')) ||
      (field.message !== undefined && field.message().name === 'etcdserverpb.WatchCreateRequest'),
  )

describe.each(allCodecs.map((codec) => [codec.name, codec] as const))('%s', (name, codec) => {
  const type = schemas.lookupType(name)

  test('has the fields of its schema and no others', () => {
    const ours = Object.values(codec.fields).map((field) => field.number)
    expect(new Set(ours)).toEqual(new Set(Object.keys(type.fieldsById).map(Number)))
    for (const field of Object.values(codec.fields)) {
      const theirs = type.fieldsById[field.number]
      expect(theirs?.repeated).toBe(field.presence === 'repeated')
      expect(theirs?.required).toBe(field.presence === 'always')
      if (!['enum', 'message'].includes(field.scalar)) {
        expect(theirs?.type).toBe(TYPES[field.scalar] ?? field.scalar)
      }
      expect(theirs?.resolve().partOf?.name).toBe(field.oneof)
      if (field.names !== undefined) {
        const values = (theirs?.resolvedType as protobuf.Enum | null | undefined)?.values
        expect(Object.fromEntries(field.names.map((text, number) => [text, number]))).toEqual(
          values,
        )
      }
    }
  })

  test('crosses in both directions unchanged', () => {
    fc.assert(
      fc.property(messageArbitrary(codec), (whole) => {
        const theirObject = toTheirs(codec, whole)
        const theirBytes = new Uint8Array(type.encode(type.fromObject(theirObject)).finish())
        const ourBytes = codec.encode(whole)
        expect(codec.decode(theirBytes)).toEqual(whole)
        expect(codec.decode(ourBytes)).toEqual(whole)
        if (hasPackedDifference(codec)) {
          expect(shown(type, ourBytes)).toEqual(shown(type, theirBytes))
        } else expect(Buffer.from(ourBytes).toString('hex')).toBe(hexOf(theirBytes))
      }),
      { numRuns: 15 },
    )
  })
})

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
