import type { RpcMethod, StreamCall } from '../ports/rpc.js'
import type { Codec } from '../wire/codec.js'
import {
  ReflectionRequest,
  ReflectionResponse,
  type ReflectionResponseInit,
} from '../wire/grpc-reflection.js'
import { type DescriptorIndex, loadDescriptors, PROTO_DIRECTORY } from './descriptors.js'
import { bidiStreamMethod } from './methods.js'
import { MethodTable } from './request-head.js'
import { STATUS } from './status.js'

/** One stream may ask as often as it likes, but each answer must be read before too many wait. */
export interface ReflectionOptions {
  /** What the server offers beside reflection: its services are listed. */
  readonly methods: readonly RpcMethod[]
  /** Folder of the schemas; read at the first request. Default: `proto` of this package. */
  readonly directory?: string
}

type Answer = Omit<ReflectionResponseInit, 'validHost' | 'originalRequest'>

/** Server reflection, v1 and v1alpha: tools like grpcurl learn from it what the server offers. */
export function reflectionMethods(options: ReflectionOptions): readonly RpcMethod[] {
  const paths = ['v1', 'v1alpha'].map(
    (version) => `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
  )
  const services = [
    ...new MethodTable(options.methods).services,
    ...paths.map((path) => path.slice(1, path.lastIndexOf('/'))),
  ].sort()
  let index: DescriptorIndex | undefined
  const answer = (request: ReflectionRequest): Answer => {
    index ??= loadDescriptors(options.directory ?? PROTO_DIRECTORY)
    return answerReflection(request, index, services)
  }
  return paths.map((path) =>
    bidiStreamMethod({
      path,
      request: ReflectionRequest as Codec<ReflectionRequest, never>,
      response: ReflectionResponse as unknown as Codec<never, ReflectionResponseInit>,
      handle: (call: StreamCall<ReflectionResponseInit>) => {
        const sent = new Set<string>()
        return {
          onRequest: (request) => {
            const found = withoutFilesSent(answer(request), sent)
            call.send({ ...found, validHost: request.host, originalRequest: request })
          },
          onRequestsEnd: () => call.end(),
        }
      },
    }),
  )
}

/**
 * A file with everything that it needs, each with its name, so that none is sent twice on a stream.
 */
interface FoundFiles {
  readonly names: readonly string[]
  readonly index: DescriptorIndex
}

function withoutFilesSent(answer: Answer & { found?: FoundFiles }, sent: Set<string>): Answer {
  const { found, ...rest } = answer
  if (found === undefined) return rest
  const fileDescriptorProto: Uint8Array[] = []
  for (const [at, name] of found.names.entries()) {
    // The file that was asked for is sent in any case.
    if (at > 0 && sent.has(name)) continue
    sent.add(name)
    const file = found.index.files.get(name)
    if (file !== undefined) fileDescriptorProto.push(file.bytes)
  }
  return { fileDescriptorResponse: { fileDescriptorProto } }
}

function answerReflection(
  request: ReflectionRequest,
  index: DescriptorIndex,
  services: readonly string[],
): Answer & { found?: FoundFiles } {
  if (request.listServices !== undefined) {
    return { listServicesResponse: { service: services.map((name) => ({ name })) } }
  }
  if (request.fileByFilename !== undefined) return findFile(request.fileByFilename, index)
  if (request.fileContainingSymbol !== undefined) {
    return findFile(index.fileOfSymbol.get(request.fileContainingSymbol), index)
  }
  if (request.allExtensionNumbersOfType !== undefined) {
    const baseTypeName = request.allExtensionNumbersOfType
    if (!index.fileOfSymbol.has(baseTypeName)) return NOT_FOUND
    return { allExtensionNumbersResponse: { baseTypeName, extensionNumber: [] } }
  }
  // No schema of ours extends anything.
  if (request.fileContainingExtension !== undefined) return NOT_FOUND
  const errorMessage = 'the request asks for nothing'
  return { errorResponse: { errorCode: STATUS.INVALID_ARGUMENT, errorMessage } }
}

const NOT_FOUND: Answer = {
  errorResponse: { errorCode: STATUS.NOT_FOUND, errorMessage: 'proto: not found' },
}

function findFile(
  name: string | undefined,
  index: DescriptorIndex,
): Answer & { found?: FoundFiles } {
  if (name === undefined || !index.files.has(name)) return NOT_FOUND
  const names = [name]
  for (const each of names) {
    for (const needed of index.files.get(each)?.dependencies ?? []) {
      if (!names.includes(needed)) names.push(needed)
    }
  }
  return { found: { names, index } }
}
