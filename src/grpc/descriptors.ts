import { readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { loadSync as LoadSync } from '@grpc/proto-loader'
import { FileDescriptor, type MessageDescriptor } from '../wire/file-descriptor.js'

/** Loaded when somebody asks for the schemas: few do, and every start would pay for it. */
const requireLater = createRequire(import.meta.url)

type MessageType = FileDescriptor['messageType'][number]
type Field = NonNullable<MessageType>['field'][number]

/** The schemas of the services as descriptors, by what reflection asks for. */
export interface DescriptorIndex {
  /** Encoded files by name. */
  readonly files: ReadonlyMap<string, { bytes: Uint8Array; dependencies: readonly string[] }>
  /** Name of the file by the full name of a message, enum, field, service or method. */
  readonly fileOfSymbol: ReadonlyMap<string, string>
}

/** `option map_entry = true` of MessageOptions. */
const MAP_ENTRY = Uint8Array.of(0x38, 0x01)

/** The schemas of services; what lies elsewhere is of formats that no client meets. */
const PUBLIC_FOLDERS: readonly string[] = ['etcd', 'grpc']

/**
 * Reads the schemas of services below a folder. What proto-loader gives has one file per package
 * and names types as the schema's text does; clients want full names and the files that each file
 * needs, so those are put in here.
 */
export function loadDescriptors(directory: string): DescriptorIndex {
  const sources = readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter(
      (path) => path.endsWith('.proto') && PUBLIC_FOLDERS.includes(path.split(/[/\\]/)[0] ?? ''),
    )
    .sort()
  const { loadSync } = requireLater('@grpc/proto-loader') as { loadSync: typeof LoadSync }
  const loaded = loadSync(sources, { includeDirs: [directory], keepCase: true })
  const byName = new Map<string, FileDescriptor>()
  for (const entry of Object.values(loaded)) {
    const descriptors = 'fileDescriptorProtos' in entry ? entry.fileDescriptorProtos : []
    for (const encoded of descriptors as Buffer[]) {
      const file = FileDescriptor.decode(encoded)
      byName.set(file.name, file)
    }
  }
  const fileOfSymbol = new Map<string, string>()
  for (const file of byName.values()) nameSymbols(file, fileOfSymbol)
  const files = new Map<string, { bytes: Uint8Array; dependencies: readonly string[] }>()
  for (const file of byName.values()) {
    const linker = new Linker(file, fileOfSymbol)
    const linked = linker.link()
    files.set(file.name, {
      bytes: FileDescriptor.encode(linked),
      dependencies: linked.dependency,
    })
  }
  return { files, fileOfSymbol }
}

/** The folder of the schemas of this package, seen from a module below src/ or dist/. */
export const PROTO_DIRECTORY = join(import.meta.dirname, '..', '..', 'proto')

function nameSymbols(file: FileDescriptor, fileOfSymbol: Map<string, string>): void {
  const add = (...path: readonly string[]): void => {
    fileOfSymbol.set([file.package, ...path].filter((part) => part !== '').join('.'), file.name)
  }
  const addMessage = (scope: readonly string[], message: MessageDescriptor): void => {
    const path = [...scope, message.name]
    add(...path)
    for (const field of message.field) add(...path, field?.name ?? '')
    for (const inner of message.enumType) add(...path, inner?.name ?? '')
    for (const inner of message.nestedType ?? []) addMessage(path, inner as MessageDescriptor)
  }
  for (const message of file.messageType) if (message !== undefined) addMessage([], message)
  for (const inner of file.enumType) add(inner?.name ?? '')
  for (const service of file.service) {
    add(service?.name ?? '')
    for (const method of service?.method ?? []) add(service?.name ?? '', method?.name ?? '')
  }
}

/** Makes the names in one file full, and finds the files that it needs. */
class Linker {
  readonly #file: FileDescriptor
  readonly #fileOfSymbol: ReadonlyMap<string, string>
  readonly #needs = new Set<string>()

  constructor(file: FileDescriptor, fileOfSymbol: ReadonlyMap<string, string>) {
    this.#file = file
    this.#fileOfSymbol = fileOfSymbol
  }

  link(): FileDescriptor {
    const file = this.#file
    const messageType = file.messageType.map((message) =>
      message === undefined ? message : this.#message(file.package, message),
    )
    const service = file.service.map((one) => ({
      name: one?.name ?? '',
      method: (one?.method ?? []).map((method) => ({
        name: method?.name ?? '',
        clientStreaming: method?.clientStreaming ?? false,
        serverStreaming: method?.serverStreaming ?? false,
        inputType: this.#full(file.package, method?.inputType ?? ''),
        outputType: this.#full(file.package, method?.outputType ?? ''),
      })),
    }))
    this.#needs.delete(file.name)
    return { ...file, messageType, service, dependency: [...this.#needs].sort() } as FileDescriptor
  }

  #message(scope: string, message: MessageDescriptor): MessageDescriptor {
    const here = `${scope}.${message.name}`
    const field: Field[] = []
    const entries = new Map<string, string>()
    for (const nested of message.nestedType ?? []) {
      if (nested !== undefined && isMapEntry(nested.options)) entries.set(nested.name, '')
    }
    for (const one of message.field) {
      if (one === undefined) continue
      if (one.typeName === undefined || one.typeName === '') field.push(one)
      else if (entries.has(one.typeName)) {
        const entry = mapEntryName(one.name)
        entries.set(one.typeName, entry)
        field.push({ ...one, typeName: `.${here}.${entry}` })
      } else field.push({ ...one, typeName: this.#full(here, one.typeName) })
    }
    const nestedType = (message.nestedType ?? []).map((nested) => {
      if (nested === undefined) return nested
      const name = entries.get(nested.name) ?? nested.name
      const linked = this.#message(here, { ...nested, nestedType: [] } as MessageDescriptor)
      return { ...linked, name }
    })
    return { ...message, field, nestedType } as MessageDescriptor
  }

  /** The full name of a type as it is seen from `scope`, with a dot in front. */
  #full(scope: string, name: string): string {
    if (name.startsWith('.')) return this.#need(name.slice(1))
    for (let around = scope; ; around = around.slice(0, Math.max(around.lastIndexOf('.'), 0))) {
      const candidate = around === '' ? name : `${around}.${name}`
      if (this.#fileOfSymbol.has(candidate) || around === '') return this.#need(candidate)
    }
  }

  #need(fullName: string): string {
    const file = this.#fileOfSymbol.get(fullName)
    if (file !== undefined) this.#needs.add(file)
    return `.${fullName}`
  }
}

const isMapEntry = (options: Uint8Array | undefined): boolean =>
  options !== undefined && MAP_ENTRY.every((byte, at) => options[at] === byte)

/** `map_field` has the entry type `MapFieldEntry`. */
const mapEntryName = (field: string): string =>
  `${field
    .split('_')
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('')}Entry`
