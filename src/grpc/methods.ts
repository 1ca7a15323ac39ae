/**
 * A service knows its message types, the server's table does not. These are the only places where a
 * method loses them: safe, because its own codecs make what its own handler takes and write what it
 * gives.
 */
import type {
  ClientStreamMethod,
  RpcMethod,
  ServerStreamMethod,
  UnaryMethod,
} from '../ports/rpc.js'

export const unaryMethod = <Request, Response>(
  method: Omit<UnaryMethod<Request, Response>, 'kind'>,
): RpcMethod => ({ ...method, kind: 'unary' }) as unknown as RpcMethod

export const serverStreamMethod = <Request, Response>(
  method: Omit<ServerStreamMethod<Request, Response>, 'kind'>,
): RpcMethod => ({ ...method, kind: 'server-stream' }) as unknown as RpcMethod

export const bidiStreamMethod = <Request, Response>(
  method: Omit<ClientStreamMethod<Request, Response>, 'kind'>,
): RpcMethod => ({ ...method, kind: 'bidi-stream' }) as unknown as RpcMethod
