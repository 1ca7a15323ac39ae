import type { LeaseId } from '../base/ids.js'

/** What the store needs of the leases. Keys are latin1 strings. */
export interface LeaseAttachments {
  /** The lease that the key hangs on; 0n = none. */
  leaseOf(key: string): LeaseId
  attach(lease: LeaseId, key: string): void
  detach(lease: LeaseId, key: string): void
}
