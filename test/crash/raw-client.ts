import * as grpc from '@grpc/grpc-js'

const OPTIONS = {
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 300,
  'grpc.use_local_subchannel_pool': 1,
}
const asIs = (bytes: Buffer): Buffer => bytes

/** A gRPC client of one member that sends and gives back encoded messages. */
export class RawClient {
  readonly #client: grpc.Client

  constructor(clientUrl: string) {
    const { host } = new URL(clientUrl)
    this.#client = new grpc.Client(host, grpc.credentials.createInsecure(), OPTIONS)
  }

  /** Rejects with grpc's ServiceError: what became of the request is then unknown. */
  call(path: string, encoded: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        path,
        asIs,
        asIs,
        Buffer.from(encoded),
        { deadline: Date.now() + timeoutMs },
        (error, response) => {
          if (error === null && response !== undefined) resolve(new Uint8Array(response))
          else reject(error ?? new Error('no response'))
        },
      )
    })
  }

  close(): void {
    this.#client.close()
  }
}
