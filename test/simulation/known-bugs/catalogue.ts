import { CONSENSUS_BUGS } from './consensus-bugs.js'
import { DURABILITY_BUGS } from './durability-bugs.js'
import type { KnownBug } from './known-bug.js'
import { LEASE_BUGS } from './lease-bugs.js'
import { LIVENESS_BUGS } from './liveness-bugs.js'
import { READ_BUGS } from './read-bugs.js'
import { SNAPSHOT_BUGS } from './snapshot-bugs.js'
import { STORE_BUGS } from './store-bugs.js'
import { V2_BUGS } from './v2-bugs.js'
import { WATCH_BUGS } from './watch-bugs.js'

/** All mistakes that the simulator must find. */
export const KNOWN_BUGS: readonly KnownBug[] = [
  ...DURABILITY_BUGS,
  ...CONSENSUS_BUGS,
  ...READ_BUGS,
  ...STORE_BUGS,
  ...LEASE_BUGS,
  ...WATCH_BUGS,
  ...V2_BUGS,
  ...SNAPSHOT_BUGS,
  ...LIVENESS_BUGS,
]
