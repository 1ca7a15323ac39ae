/**
 * Protobuf messages declared as tables, with their types inferred and their codecs compiled on
 * first use.
 *
 * Why not a package: protobufjs gives 64-bit fields as `Long` or imprecise numbers, where we need
 * checked numbers for counters and bigints for identities; its decoder is lenient where etcd's is
 * strict; and it has no notion of gogo's non-nullable fields, which are written even when zero.
 * Equality of the bytes with protobufjs over generated messages is a property test (test/wire).
 */
import { exhaustive, invariant } from '../base/invariant.js'
import { Reader, WireError } from './reader.js'
import { Writer } from './writer.js'

type Scalar =
  | 'bytes'
  | 'string'
  | 'bool'
  | 'uint32'
  | 'int32'
  | 'counter'
  | 'signedCounter'
  | 'id'
  | 'signedId'
  | 'enum'
type Presence = 'implicit' | 'always' | 'explicit' | 'repeated'

/** One field of a message. `Value` is the TypeScript type that it decodes to. */
export interface Field<Value> {
  readonly number: number
  readonly scalar: Scalar | 'message'
  readonly presence: Presence
  /** Enum names by number; `undefined` for other scalars. */
  readonly names?: readonly string[]
  /** The nested message's codec; a function, so that messages may contain themselves. */
  readonly message?: () => Codec<unknown, unknown>
  /** Fields with the same name here exclude each other: the last one in the bytes counts. */
  readonly oneof?: string
  /** Never present; carries the type. */
  readonly value?: Value
}

/** An enum value outside the names that were known when the table was written. */
export type UnknownEnum = 'UNKNOWN'

const scalar =
  <Default>(kind: Scalar) =>
  <Value extends Default = Default>(number: number): Field<Value> => ({
    number,
    scalar: kind,
    presence: 'implicit',
  })

export const bytes = scalar<Uint8Array>('bytes')
export const string = scalar<string>('string')
export const bool = scalar<boolean>('bool')
export const uint32 = scalar<number>('uint32')
export const int32 = scalar<number>('int32')
/** uint64 that counts: a number, at most 2^53 - 1. */
export const counter = scalar<number>('counter')
/** int64 that counts: a number within +-(2^53 - 1). */
export const signedCounter = scalar<number>('signedCounter')
/** uint64 that identifies: a bigint. */
export const id = scalar<bigint>('id')
/** int64 that identifies: a bigint. */
export const signedId = scalar<bigint>('signedId')

/** An enum whose names are numbered from 0. Other numbers decode to 'UNKNOWN'. */
export function enumeration<const Names extends readonly string[]>(
  number: number,
  names: Names,
): Field<Names[number] | UnknownEnum> {
  return { number, scalar: 'enum', presence: 'implicit', names }
}

/** A nested message; `undefined` when absent. */
export function message<Value, Init>(
  number: number,
  codec: () => Codec<Value, Init>,
): Field<Value | undefined> {
  return {
    number,
    scalar: 'message',
    presence: 'explicit',
    message: codec as () => Codec<unknown, unknown>,
  }
}

/** gogo's non-nullable: written even when zero (proto2 messages of raft). */
export function always<Value>(field: Field<Value>): Field<Exclude<Value, undefined>> {
  return { ...field, presence: 'always' } as Field<Exclude<Value, undefined>>
}

/**
 * A member of a oneof or a proto2 optional: `undefined` when absent, written when set, zero or not.
 */
export function optional<Value>(field: Field<Value>): Field<Value | undefined> {
  return { ...field, presence: 'explicit' } as Field<Value | undefined>
}

/** Fields of which a message has at most one. Each is `undefined` when it is not the one. */
export function oneof<Members extends Record<string, Field<unknown>>>(
  name: string,
  members: Members,
): Members {
  const named = Object.entries(members).map(([key, field]) => [key, { ...field, oneof: name }])
  return Object.fromEntries(named) as Members
}

/** Written one by one (never packed), read packed or not. */
export function repeated<Value>(field: Field<Value>): Field<readonly Exclude<Value, undefined>[]> {
  return { ...field, presence: 'repeated' } as Field<readonly Exclude<Value, undefined>[]>
}

type Fields = Record<string, Field<unknown>>
type ValueOf<F> = F extends Field<infer Value> ? Value : never
export type MessageOf<F extends Fields> = { readonly [Name in keyof F]: ValueOf<F[Name]> }
export type InitOf<F extends Fields> = { readonly [Name in keyof F]?: ValueOf<F[Name]> | undefined }

/** Reads and writes one message type. */
export interface Codec<Value, Init = Value> {
  /** Full protobuf name, e.g. `etcdserverpb.PutRequest`. */
  readonly name: string
  readonly fields: Readonly<Record<string, Field<unknown>>>
  /** A whole message: fields left out get their default. */
  create(init?: Init): Value
  /** Appends the encoding to `writer`, without a length. Absent and default fields are left out. */
  write(message: Init, writer: Writer): void
  /** Reads up to `end`; throws WireError when the bytes are not such a message. */
  read(reader: Reader, end: number): Value
  encode(message: Init): Uint8Array
  decode(input: Uint8Array): Value
}

/** The decoded type of a codec: `type Put = Decoded<typeof PutRequest>`. */
export type Decoded<C> = C extends Codec<infer Value, infer _Init> ? Value : never
/** What a codec encodes: the same with every field optional. */
export type Encodable<C> = C extends Codec<infer _Value, infer Init> ? Init : never

/**
 * Lets bytes that already are an encoded message stand where such a message is to be written: what
 * is stored or shared is not decoded to be encoded again. The result can only be encoded, never
 * read from.
 */
export function preEncoded<Value extends object>(encoded: Uint8Array): Value {
  return encoded as unknown as Value
}

type CreateMessage = (init: Readonly<Record<string, unknown>>) => unknown
type WriteMessage = (message: Readonly<Record<string, unknown>>, writer: Writer) => void
type ReadMessage = (reader: Reader, end: number) => unknown

const shared = new Writer(4096)
let sharedIsBusy = false

class TableCodec implements Codec<unknown, Readonly<Record<string, unknown>>> {
  readonly name: string
  readonly fields: Fields
  #create: CreateMessage | undefined
  #write: WriteMessage | undefined
  #read: ReadMessage | undefined

  constructor(name: string, fields: Fields) {
    this.name = name
    this.fields = fields
  }

  create(init: Readonly<Record<string, unknown>> = {}): unknown {
    for (const name in init)
      invariant(
        name in this.fields,
        'create was given a field that the message does not have',
        () => `${this.name}.${name}`,
      )
    this.#create ??= compileCreate(this.fields)
    return this.#create(init)
  }

  write(message: Readonly<Record<string, unknown>>, writer: Writer): void {
    this.#write ??= compileWrite(this.fields)
    this.#write(message, writer)
  }

  read(reader: Reader, end: number): unknown {
    this.#read ??= compileRead(this.name, this.fields)
    return this.#read(reader, end)
  }

  encode(message: Readonly<Record<string, unknown>>): Uint8Array {
    if (sharedIsBusy) {
      const own = new Writer(256)
      this.write(message, own)
      return own.take()
    }
    sharedIsBusy = true
    try {
      shared.reset()
      this.write(message, shared)
      return shared.take()
    } finally {
      sharedIsBusy = false
    }
  }

  decode(input: Uint8Array): unknown {
    return this.read(new Reader(input), input.length)
  }
}

/**
 * Declares a message type. Field numbers are written in ascending order whatever the order here.
 */
export function define<F extends Fields>(name: string, fields: F): Codec<MessageOf<F>, InitOf<F>> {
  return new TableCodec(name, fields) as unknown as Codec<MessageOf<F>, InitOf<F>>
}

const sorted = (fields: Fields): [string, Field<unknown>][] =>
  Object.entries(fields).sort((a, b) => a[1].number - b[1].number)

const WIRE_TYPES: Readonly<Record<Field<unknown>['scalar'], 0 | 2>> = {
  bytes: 2,
  string: 2,
  message: 2,
  bool: 0,
  uint32: 0,
  int32: 0,
  counter: 0,
  signedCounter: 0,
  id: 0,
  signedId: 0,
  enum: 0,
}
const DEFAULTS: Readonly<Record<Scalar, string>> = {
  bytes: 'EMPTY',
  string: '""',
  bool: 'false',
  uint32: '0',
  int32: '0',
  counter: '0',
  signedCounter: '0',
  id: '0n',
  signedId: '0n',
  enum: 'names[0]',
}

const tagOf = (field: Field<unknown>): number => field.number * 8 + WIRE_TYPES[field.scalar]

function tagBytes(field: Field<unknown>): number[] {
  const out: number[] = []
  let rest = tagOf(field)
  while (rest > 0x7f) {
    out.push((rest & 0x7f) | 0x80)
    rest >>>= 7
  }
  out.push(rest)
  return out
}

function writeValue(field: Field<unknown>, at: number, value: string): string {
  const tag = tagBytes(field)
  const stores = tag.map((byte) => `w.buffer[w.position++]=${byte};`)
  const tagCode = `w.reserve(${tag.length + 10});${stores.join('')}`
  switch (field.scalar) {
    case 'message':
      return `{${tagCode}if(${value} instanceof Uint8Array)w.bytes(${value});
        else{const s=w.open();c${at}().write(${value},w);w.close(s)}}`
    case 'enum':
      return `{${tagCode}w.uint32(number(names${at},${value}))}`
    case 'signedCounter':
      return `{${tagCode}w.counter(${value})}`
    case 'signedId':
      return `{${tagCode}w.id(${value})}`
    default:
      return `{${tagCode}w.${field.scalar}(${value})}`
  }
}

function isSet(field: Field<unknown>, at: number, value: string): string {
  switch (field.scalar) {
    case 'bytes':
    case 'string':
      return `${value}!==undefined&&${value}.length>0`
    case 'enum':
      return `${value}!==undefined&&${value}!==names${at}[0]`
    case 'id':
    case 'signedId':
      return `${value}!==undefined&&${value}!==0n`
    default:
      return `${value}`
  }
}

function numberOfName(names: readonly string[], name: string): number {
  const number = names.indexOf(name)
  invariant(number >= 0, 'an enum name must be one of its table', () => name)
  return number
}

function compileWrite(fields: Fields): WriteMessage {
  const ordered = sorted(fields)
  const lines = ordered.map(([name, field], at) => {
    const value = `m.${name}`
    switch (field.presence) {
      case 'always': {
        const fallback =
          field.scalar === 'message'
            ? 'NONE'
            : DEFAULTS[field.scalar].replace('names', `names${at}`)
        return `{const v=${value}??${fallback};${writeValue(field, at, 'v')}}`
      }
      case 'explicit':
        return `{const v=${value};if(v!==undefined)${writeValue(field, at, 'v')}}`
      case 'repeated':
        return `{const l=${value};if(l!==undefined)for(let i=0;i<l.length;i++)
          {const v=l[i];${writeValue(field, at, 'v')}}}`
      case 'implicit':
        return `{const v=${value};if(${isSet(field, at, 'v')})${writeValue(field, at, 'v')}}`
      default:
        return exhaustive(field.presence)
    }
  })
  return build(ordered, `return function write(m,w){${lines.join('\n')}}`) as WriteMessage
}

function readValue(field: Field<unknown>, at: number): string {
  switch (field.scalar) {
    case 'bytes':
    case 'string':
      return `r.${field.scalar}(end)`
    case 'message':
      return `nested(c${at},r,end)`
    case 'enum':
      return `(names${at}[r.uint32()]??"UNKNOWN")`
    default:
      return `r.${field.scalar}()`
  }
}

/** What a field is when neither the caller nor the bytes say. */
function defaultOf(field: Field<unknown>, at: number): string {
  if (field.presence === 'repeated') return 'NO_ITEMS'
  if (field.presence === 'explicit') return 'undefined'
  if (field.scalar === 'message')
    return field.presence === 'always' ? `c${at}().create()` : 'undefined'
  return DEFAULTS[field.scalar].replace('names', `names${at}`)
}

function compileCreate(fields: Fields): CreateMessage {
  const ordered = sorted(fields)
  const values = ordered.map(
    ([name, field], at) => `${name}:m.${name}!==undefined?m.${name}:${defaultOf(field, at)}`,
  )
  return build(ordered, `return function create(m){return{${values.join(',')}}}`) as CreateMessage
}

function compileRead(name: string, fields: Fields): ReadMessage {
  const ordered = sorted(fields)
  const declarations = ordered.map(([, field], at) =>
    field.scalar === 'message' && field.presence !== 'repeated'
      ? `let f${at};`
      : `let f${at}=${defaultOf(field, at)};`,
  )
  const cases = ordered.map(([, field], at) => {
    const read = readValue(field, at)
    if (field.presence !== 'repeated') {
      return `case ${tagOf(field)}:f${at}=${read};${forgetOthers(ordered, at)}break;`
    }
    const push = `if(f${at}===NO_ITEMS)f${at}=[];`
    const single = `case ${tagOf(field)}:${push}f${at}.push(${read});break;`
    if (WIRE_TYPES[field.scalar] === 2) return single
    const packed = `case ${field.number * 8 + 2}:{${push}const n=r.length(end)+r.position;
      while(r.position<n)f${at}.push(${read});if(r.position>n)truncated();break;}`
    return single + packed
  })
  const known = ordered.map(([, field]) => field.number).join(',')
  const fill = ordered
    .map(([, field], at) =>
      field.scalar === 'message' && field.presence === 'always'
        ? `if(f${at}===undefined)f${at}=c${at}().create();`
        : '',
    )
    .join('')
  const result = ordered.map(([field], at) => `${field}:f${at}`).join(',')
  return build(
    ordered,
    `const known=new Set([${known}]);
    return function read(r,end){${declarations.join('')}
    while(r.position<end){const tag=r.tag();switch(tag){${cases.join('\n')}
    default:if(known.has(tag>>>3))wrongType(${JSON.stringify(name)},tag);r.skip(tag,end)}}
    if(r.position>end)truncated();${fill}return{${result}}}`,
  ) as ReadMessage
}

/** Code that takes back the other fields of the oneof that the field at `at` belongs to. */
function forgetOthers(ordered: readonly [string, Field<unknown>][], at: number): string {
  const group = ordered[at]?.[1].oneof
  if (group === undefined) return ''
  return ordered
    .map(([, field], other) =>
      field.oneof === group && other !== at ? `f${other}=undefined;` : '',
    )
    .join('')
}

function build(ordered: [string, Field<unknown>][], source: string): unknown {
  const names = ordered.flatMap(([, field], at) => [
    [`names${at}`, field.names] as const,
    [`c${at}`, field.message] as const,
  ])
  const scope: readonly (readonly [string, unknown])[] = [
    ...names,
    ['EMPTY', new Uint8Array(0)],
    ['NO_ITEMS', Object.freeze([])],
    ['NONE', {}],
    ['number', numberOfName],
    ['nested', readNested],
    ['wrongType', wrongType],
    ['truncated', truncated],
  ]
  // The source is made of field names and numbers of our own tables only, never of input.
  const make = new Function(...scope.map(([name]) => name), `"use strict";${source}`)
  return make(...scope.map(([, value]) => value))
}

function readNested(codec: () => Codec<unknown, unknown>, reader: Reader, end: number): unknown {
  const length = reader.length(end)
  return codec().read(reader, reader.position + length)
}

function wrongType(name: string, tag: number): never {
  throw new WireError(`proto: wrong wireType = ${tag & 7} for field ${tag >>> 3} of ${name}`)
}

function truncated(): never {
  throw new WireError('unexpected EOF')
}
