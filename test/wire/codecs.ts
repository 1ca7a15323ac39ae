import fc from 'fast-check'
import protobuf from 'protobufjs'
import type { Codec, Field } from '../../src/wire/codec.js'
import * as disk from '../../src/wire/disk-messages.js'
import * as mvccpb from '../../src/wire/mvccpb.js'
import * as raftRequest from '../../src/wire/raft-request.js'
import * as raftpb from '../../src/wire/raftpb.js'
import * as rpc from '../../src/wire/rpc.js'
import * as v2Request from '../../src/wire/v2-request.js'

export type AnyCodec = Codec<unknown, unknown>
/** A decoded message with every field present, as `decode` gives it. */
export type Whole = Readonly<Record<string, unknown>>

const isCodec = (value: unknown): value is AnyCodec =>
  typeof value === 'object' && value !== null && 'fields' in value && 'decode' in value

/** Every message type that `src/wire` declares. */
export const allCodecs: readonly AnyCodec[] = [
  rpc,
  mvccpb,
  raftpb,
  raftRequest,
  disk,
  v2Request,
].flatMap((module) => Object.values(module as Record<string, unknown>).filter(isCodec))

const protoFolder = new URL('../../proto/', import.meta.url).pathname

/** The schemas of `proto/`, read by protobufjs. */
export function loadSchemas(): protobuf.Root {
  const root = new protobuf.Root()
  root.resolvePath = (_origin, target) =>
    target.startsWith('/') ? target : `${protoFolder}${target}`
  return root.loadSync([
    'etcd/api/etcdserverpb/rpc.proto',
    'raft/raft.proto',
    'raft/wal.proto',
    'raft/snap.proto',
    'raft/internal.proto',
    'raft/lease.proto',
  ])
}

const edge = (values: readonly number[], any: fc.Arbitrary<number>): fc.Arbitrary<number> =>
  fc.oneof(fc.constantFrom(...values), any)
const COUNTER_EDGES = [0, 1, 127, 128, 2 ** 28, 2 ** 32 - 1, 2 ** 32, 2 ** 35, 2 ** 53 - 1]

function scalarArbitrary(field: Field<unknown>): fc.Arbitrary<unknown> {
  switch (field.scalar) {
    case 'bytes':
      return fc.uint8Array({ maxLength: 200 })
    case 'string':
      return fc.oneof(
        fc.string({ unit: 'binary', maxLength: 80 }),
        fc.string({ unit: 'grapheme-ascii', maxLength: 200 }),
        fc.constant('\ufeffmark'),
      )
    case 'bool':
      return fc.boolean()
    case 'uint32':
      return edge([0, 127, 128, 2 ** 32 - 1], fc.nat(2 ** 32 - 1))
    case 'int32':
      return edge([0, -1, 2 ** 31 - 1, -(2 ** 31)], fc.integer())
    case 'counter':
      return edge(COUNTER_EDGES, fc.maxSafeNat())
    case 'signedCounter':
      return edge(
        [...COUNTER_EDGES, ...COUNTER_EDGES.slice(1).map((value) => -value)],
        fc.maxSafeInteger(),
      )
    case 'id':
      return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
    case 'signedId':
      return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
    case 'enum':
      return fc.constantFrom(...(field.names ?? []))
    default:
      throw new Error('messages are made by messageArbitrary')
  }
}

function fieldArbitrary(field: Field<unknown>, depth: number): fc.Arbitrary<unknown> {
  const codec = field.message?.()
  const single = codec === undefined ? scalarArbitrary(field) : messageArbitrary(codec, depth + 1)
  const tooDeep = codec !== undefined && depth >= 3
  switch (field.presence) {
    case 'repeated':
      return tooDeep ? fc.constant([]) : fc.array(single, { maxLength: 3 })
    case 'explicit':
      return tooDeep ? fc.constant(undefined) : fc.option(single, { nil: undefined })
    default:
      return single
  }
}

/** Any message of the type, with at most one field of each oneof. */
export function messageArbitrary(codec: AnyCodec, depth = 0): fc.Arbitrary<Whole> {
  const groups = new Map<string, string[]>()
  for (const [name, { oneof }] of Object.entries(codec.fields)) {
    if (oneof !== undefined) groups.set(oneof, [...(groups.get(oneof) ?? []), name])
  }
  const model = Object.fromEntries(
    Object.entries(codec.fields).map(([name, field]) => [
      name,
      fc.constant(undefined).chain(() => fieldArbitrary(field, depth)),
    ]),
  )
  const picks = fc.tuple(...[...groups.values()].map((names) => fc.constantFrom(...names)))
  return fc.tuple(fc.record(model), picks).map(([whole, chosen]) => {
    const out: Record<string, unknown> = { ...whole }
    for (const name of [...groups.values()].flat()) {
      if (!chosen.includes(name)) out[name] = undefined
    }
    return out
  })
}
