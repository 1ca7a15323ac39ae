import { IntervalMap } from '../mvcc/interval-map.js'
import type { SharedEvent } from './shared-event.js'
import type { Watcher } from './watcher.js'

/** Watchers that are behind by the same and want the same: what they get is put together once. */
export interface CatchUpGroup {
  readonly watchers: Watcher[]
  /** In order. */
  readonly events: SharedEvent[]
}

/** Sorts events among watchers that are behind. Each watcher is in exactly one of the groups. */
export function groupForCatchUp(
  watchers: readonly Watcher[],
  events: readonly SharedEvent[],
): Iterable<CatchUpGroup> {
  const groups = new Map<string, CatchUpGroup>()
  const interests = new IntervalMap<CatchUpGroup>()
  for (const watcher of watchers) {
    const name = groupName(watcher)
    const group = groups.get(name)
    if (group !== undefined) {
      group.watchers.push(watcher)
      continue
    }
    const created = { watchers: [watcher], events: [] }
    groups.set(name, created)
    interests.add(watcher.key, watcher.end, created)
  }
  for (const shared of events) {
    interests.forEachMatch(shared.event.key, (group) => {
      const [sample] = group.watchers as [Watcher]
      const isNew = shared.event.modRevision >= sample.nextRevision
      if (isNew && sample.accepts(shared.event)) group.events.push(shared)
    })
  }
  return groups.values()
}

/** Equal for watchers with the same place, range and settings; lengths keep key and end apart. */
function groupName(watcher: Watcher): string {
  const { noPut, noDelete, wantsPrevious, wantsFragments } = watcher.settings
  const wishes =
    Number(noPut) + 2 * Number(noDelete) + 4 * Number(wantsPrevious) + 8 * Number(wantsFragments)
  return `${watcher.nextRevision} ${wishes} ${watcher.key.length} ${watcher.key}${watcher.end}`
}
