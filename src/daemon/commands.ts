/** Runs one sub-command with the words after its name; sets the exit code of the process. */
export type Command = (argv: readonly string[]) => Promise<void>

/**
 * First words of the command line that name something other than a member (`etcd gateway start`),
 * and how each is loaded: only when it is asked for, so that a member's start does not pay for it.
 */
const loaders: Readonly<Record<string, () => Promise<Command>>> = {
  discovery: async () => (await import('./discovery-command.js')).runDiscovery,
  gateway: async () => (await import('./gateway.js')).runGateway,
  'migrate-v2': async () => (await import('../migrate/main.js')).migrateV2,
  'grpc-proxy': async () => (await import('./grpc-proxy.js')).runGrpcProxy,
}

/** The sub-command that the first word names; `undefined` when the words are those of a member. */
export function findCommand(word: string | undefined): (() => Promise<Command>) | undefined {
  return word !== undefined && Object.hasOwn(loaders, word) ? loaders[word] : undefined
}
