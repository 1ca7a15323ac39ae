import type { Alarms } from '../apply/alarms.js'
import type { StateMachine } from '../apply/state-machine.js'
import type { Lessor } from '../lease/lessor.js'
import type { Membership } from '../membership/membership.js'
import type { MvccStore } from '../mvcc/mvcc-store.js'
import type { V2Store } from '../v2store/store.js'

/** Everything that follows from the log alone. Replaced as a whole when a snapshot is installed. */
export interface ReplicatedState {
  readonly store: MvccStore
  readonly lessor: Lessor
  readonly alarms: Alarms
  readonly membership: Membership
  readonly v2: V2Store
  readonly machine: StateMachine
}
