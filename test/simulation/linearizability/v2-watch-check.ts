import type { V2WatchRecord } from '../workload/v2-watch-client.js'

/**
 * What clients that wait for v2 keys were told, against the changes as the log has them: in their
 * order, at rising indices, none twice, none that nobody made, and none left out since the watch
 * began, over connections, members, restarts and snapshots. One index is the same change everywhere.
 * Returns what is wrong, or undefined.
 */
export function checkV2Watches(
  changes: readonly string[],
  records: readonly V2WatchRecord[],
): string | undefined {
  const textOf = new Map<number, string>()
  for (const record of records) {
    for (const { index, text } of record.news) {
      const known = textOf.get(index)
      if (known !== undefined && known !== text)
        return `index ${index} is "${known}" for one and "${text}" for another`
      textOf.set(index, text)
    }
    const wrong = checkOne(changes, record)
    if (wrong !== undefined) return `watcher ${record.watcher} of ${record.path}: ${wrong}`
  }
  return undefined
}

function checkOne(
  changes: readonly string[],
  { path, isFromFirst, news }: V2WatchRecord,
): string | undefined {
  const wanted = changes.filter(
    (text) => text.startsWith(`${path} `) || text.startsWith(`${path}/`),
  )
  // Every value is written once, so a change is found by its words.
  const placeOf = new Map(wanted.map((text, place) => [text, place]))
  let place = isFromFirst ? -1 : undefined
  let lastIndex = 0
  for (const { index, text } of news) {
    if (index <= lastIndex) return `told of index ${index} behind ${lastIndex}`
    lastIndex = index
    const found = placeOf.get(text)
    if (found === undefined) return `told of "${text}", which did not happen`
    if (place !== undefined && found !== place + 1)
      return `told of "${text}" at ${index} where "${wanted[place + 1]}" was next`
    place = found
  }
  return undefined
}
