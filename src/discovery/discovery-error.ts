/** Why a member cannot join through a discovery service; `other` needs no advice of its own. */
export type DiscoveryProblem = 'full' | 'duplicate-id' | 'duplicate-name' | 'other'

/** The discovery service keeps this member out. `message` is etcd's text, with `reason` inside. */
export class DiscoveryError extends Error {
  override readonly name = 'DiscoveryError'
  readonly problem: DiscoveryProblem
  /** What went wrong, in etcd's words. */
  readonly reason: string

  constructor(problem: DiscoveryProblem, reason: string, options?: ErrorOptions) {
    super(`failed to join discovery cluster (${reason})`, options)
    this.problem = problem
    this.reason = reason
  }
}

const refusal = (problem: DiscoveryProblem, reason: string) => (): DiscoveryError =>
  new DiscoveryError(problem, `discovery: ${reason}`)

export const fullCluster = refusal('full', 'cluster is full')
export const duplicateId = refusal('duplicate-id', 'found duplicate id')
export const duplicateName = refusal('duplicate-name', 'found duplicate name')
export const badSizeKey = refusal('other', 'size key is bad')
export const sizeNotFound = refusal('other', 'size key not found')
export const badEndpoint = refusal('other', 'bad discovery endpoint')
export const invalidUrl = refusal('other', 'invalid URL')
export const invalidPeerUrl = refusal('other', 'invalid peer URL')
export const tooManyRetries = refusal('other', 'too many retries')
