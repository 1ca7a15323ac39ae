/** grpc.reflection.v1 and v1alpha, which are the same on the wire: proto/grpc/reflection. */
import {
  bytes,
  type Decoded,
  define,
  type Encodable,
  int32,
  message,
  optional,
  repeated,
  string,
} from './codec.js'

export const ExtensionRequest = define('grpc.reflection.v1.ExtensionRequest', {
  containingType: string(1),
  extensionNumber: int32(2),
})

export const ReflectionRequest = define('grpc.reflection.v1.ServerReflectionRequest', {
  host: string(1),
  fileByFilename: optional(string(3)),
  fileContainingSymbol: optional(string(4)),
  fileContainingExtension: message(5, () => ExtensionRequest),
  allExtensionNumbersOfType: optional(string(6)),
  listServices: optional(string(7)),
})
export type ReflectionRequest = Decoded<typeof ReflectionRequest>

export const FileDescriptorResponse = define('grpc.reflection.v1.FileDescriptorResponse', {
  fileDescriptorProto: repeated(bytes(1)),
})
export const ExtensionNumberResponse = define('grpc.reflection.v1.ExtensionNumberResponse', {
  baseTypeName: string(1),
  extensionNumber: repeated(int32(2)),
})
export const ServiceResponse = define('grpc.reflection.v1.ServiceResponse', { name: string(1) })
export const ListServiceResponse = define('grpc.reflection.v1.ListServiceResponse', {
  service: repeated(message(1, () => ServiceResponse)),
})
export const ReflectionError = define('grpc.reflection.v1.ErrorResponse', {
  errorCode: int32(1),
  errorMessage: string(2),
})

export const ReflectionResponse = define('grpc.reflection.v1.ServerReflectionResponse', {
  validHost: string(1),
  originalRequest: message(2, () => ReflectionRequest),
  fileDescriptorResponse: message(4, () => FileDescriptorResponse),
  allExtensionNumbersResponse: message(5, () => ExtensionNumberResponse),
  listServicesResponse: message(6, () => ListServiceResponse),
  errorResponse: message(7, () => ReflectionError),
})
export type ReflectionResponseInit = Encodable<typeof ReflectionResponse>
