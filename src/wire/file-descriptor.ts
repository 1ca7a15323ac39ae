/** The parts of google/protobuf/descriptor.proto (proto2) that describe our own schemas. */
import {
  bool,
  bytes,
  type Decoded,
  define,
  int32,
  message,
  optional,
  repeated,
  string,
} from './codec.js'

export const FieldDescriptor = define('google.protobuf.FieldDescriptorProto', {
  name: string(1),
  extendee: optional(string(2)),
  number: int32(3),
  label: int32(4),
  type: int32(5),
  typeName: optional(string(6)),
  defaultValue: optional(string(7)),
  options: optional(bytes(8)),
  oneofIndex: optional(int32(9)),
  jsonName: optional(string(10)),
  proto3Optional: optional(bool(17)),
})
export type FieldDescriptor = Decoded<typeof FieldDescriptor>

export const OneofDescriptor = define('google.protobuf.OneofDescriptorProto', { name: string(1) })

export const EnumValueDescriptor = define('google.protobuf.EnumValueDescriptorProto', {
  name: string(1),
  number: optional(int32(2)),
})
export const EnumDescriptor = define('google.protobuf.EnumDescriptorProto', {
  name: string(1),
  value: repeated(message(2, () => EnumValueDescriptor)),
  options: optional(bytes(3)),
})

const messageFields = {
  name: string(1),
  field: repeated(message(2, () => FieldDescriptor)),
  enumType: repeated(message(4, () => EnumDescriptor)),
  options: optional(bytes(7)),
  oneofDecl: repeated(message(8, () => OneofDescriptor)),
}
/** A message inside of a message; a third level has nothing but fields in our schemas. */
export const NestedMessageDescriptor = define('google.protobuf.DescriptorProto', messageFields)
export const MessageDescriptor = define('google.protobuf.DescriptorProto', {
  ...messageFields,
  nestedType: repeated(message(3, () => NestedMessageDescriptor)),
})
export type MessageDescriptor = Decoded<typeof MessageDescriptor>
export type NestedMessageDescriptor = Decoded<typeof NestedMessageDescriptor>

export const MethodDescriptor = define('google.protobuf.MethodDescriptorProto', {
  name: string(1),
  inputType: string(2),
  outputType: string(3),
  clientStreaming: bool(5),
  serverStreaming: bool(6),
})
export const ServiceDescriptor = define('google.protobuf.ServiceDescriptorProto', {
  name: string(1),
  method: repeated(message(2, () => MethodDescriptor)),
})

export const FileDescriptor = define('google.protobuf.FileDescriptorProto', {
  name: string(1),
  package: string(2),
  dependency: repeated(string(3)),
  messageType: repeated(message(4, () => MessageDescriptor)),
  enumType: repeated(message(5, () => EnumDescriptor)),
  service: repeated(message(6, () => ServiceDescriptor)),
  syntax: string(12),
})
export type FileDescriptor = Decoded<typeof FileDescriptor>
