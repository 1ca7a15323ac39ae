import { KNOWN_BUGS } from './catalogue.js'
import { runWithBug } from './find-bug.js'

/** Each bug must be seen within so many seeds, from the first. */
export const SEEDS_MAX = 500

/** What a search came to. */
export interface Search {
  readonly bug: string
  /** Undefined when no seed within the budget showed it. */
  readonly seed: number | undefined
  readonly checker: string | undefined
  readonly message: string | undefined
}

/** Searches for every bug whose name contains `part`, from seed 1, and tells of each. */
export async function searchKnownBugs(
  part: string,
  tell: (search: Search) => void,
): Promise<readonly Search[]> {
  const searches: Search[] = []
  for (const bug of KNOWN_BUGS) {
    if (!bug.name.includes(part)) continue
    let search: Search = {
      bug: bug.name,
      seed: undefined,
      checker: undefined,
      message: undefined,
    }
    for (let seed = 1; seed <= SEEDS_MAX; seed++) {
      const { violation } = await runWithBug(bug, seed)
      if (violation === undefined) continue
      // Behind the first line there may be a stack, which is of one machine.
      const [message] = violation.message.split('\n')
      search = { bug: bug.name, seed, checker: violation.checker, message }
      break
    }
    searches.push(search)
    tell(search)
  }
  return searches
}
