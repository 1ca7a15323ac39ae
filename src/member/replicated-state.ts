import type { Alarms } from '../apply/alarms.js'
import type { StateMachine } from '../apply/state-machine.js'
import type { Backend } from '../backend/backend.js'
import type { Lessor } from '../lease/lessor.js'
import type { Membership } from '../membership/membership.js'
import type { MembershipRows } from '../membership/sinks.js'
import type { MvccStore } from '../mvcc/mvcc-store.js'
import type { V2Store } from '../v2store/store.js'

/** Everything that follows from the log alone. Replaced as a whole when a snapshot is installed. */
export interface ReplicatedState {
  /** What is durable of it; everything else here reads from it and writes into it. */
  readonly backend: Backend
  readonly membershipRows: MembershipRows
  readonly store: MvccStore
  readonly lessor: Lessor
  readonly alarms: Alarms
  readonly membership: Membership
  readonly v2: V2Store
  readonly machine: StateMachine
}
