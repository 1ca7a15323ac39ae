import type { NodeAdapter } from '../node.js'
import type { SimulationOptions } from '../options.js'
import type { Prng } from '../world/prng.js'

/** A mistake that somebody could make in a member, brought in from outside. */
export interface KnownBug {
  readonly name: string
  /** The checkers one of which must see it. */
  readonly foundBy: readonly string[]
  /** Makes the run one in which the mistake can matter. */
  readonly shape?: (options: SimulationOptions) => SimulationOptions
  /** Between a member and its parts; a fresh one for each run. */
  readonly create?: (prng: Prng) => NodeAdapter
  /** Changes a class for the time of a run; the result takes the change back. */
  readonly install?: (prng: Prng) => () => void
}
