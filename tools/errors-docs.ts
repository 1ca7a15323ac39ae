/** The page docs/errors.md, made from the catalogues of src/base. */
import { type ErrorDefinition, errors } from '../src/base/errors.js'
import { v2AuthErrors } from '../src/base/v2-auth-errors.js'
import { v2Errors } from '../src/base/v2-errors.js'

/** Names of the gRPC status codes by number (grpc.io/docs/guides/status-codes). */
export const GRPC_STATUS_NAMES = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
] as const

const HEAD = `# Errors

Made from the catalogues in \`src/base\`; do not edit. To rewrite it:
\`UPDATE_GOLDEN=1 npx vitest run --project unit test/base/errors.test.ts\`.

## v3

The code names an error in this project: in its source, its tests and its log. On the wire goes the
message, which is etcd's to the byte, with the gRPC status beside it. An error marked *again* may
pass by itself: the same request can succeed later without a change.
`

const V2_HEAD = `
## v2

The number is the \`errorCode\` of the JSON answer. Some are historic and never sent any more; they
keep their numbers.
`

const V2_AUTH_HEAD = `
## v2 users and roles

The \`message\` of the JSON answer of \`/v2/auth\`; \`%s\` stands for names.
`

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`

/** The whole page. */
export function errorsPage(): string {
  const v3 = Object.entries(errors).map(([code, definition]: [string, ErrorDefinition]) =>
    row([
      `\`${code}\``,
      `${GRPC_STATUS_NAMES[definition.grpc] ?? '?'} (${definition.grpc})`,
      definition.retryable ? 'again' : '',
      `\`${definition.message}\``,
    ]),
  )
  const v2 = Object.entries(v2Errors).map(([code, { message, httpStatus }]) =>
    row([code, String(httpStatus), `\`${message}\``]),
  )
  const v2Auth = Object.entries(v2AuthErrors).map(([code, { message, httpStatus }]) =>
    row([`\`${code}\``, String(httpStatus), `\`${message}\``]),
  )
  return [
    HEAD,
    row(['code', 'gRPC status', 'retry', 'message']),
    '|---|---|---|---|',
    ...v3,
    V2_HEAD,
    row(['errorCode', 'HTTP status', 'message']),
    '|---|---|---|',
    ...v2,
    V2_AUTH_HEAD,
    row(['code', 'HTTP status', 'message']),
    '|---|---|---|',
    ...v2Auth,
    '',
  ].join('\n')
}
