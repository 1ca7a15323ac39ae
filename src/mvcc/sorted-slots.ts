/** Fewer keys than this are compared with each other. */
const COMPARED_MAX = 24
/**
 * Characters that are looked at in one step: 257 values each (the end of the key comes first), 25
 * bits in all.
 */
const BASE = 257
const STEP = 3
/** The rest of the 53 bits tells which key of the range it was. */
const PLACES = 2 ** 28

/**
 * The slots of all keys in the order of the keys, which are distinct and fewer than 2^28. A radix
 * sort from the front: what all keys of a range share is skipped, the next three characters become
 * a number, and where these are equal it goes on behind them. Looks at each key some five times
 * instead of twenty.
 */
export function sortedSlots(keys: readonly string[]): Uint32Array {
  const slots = Uint32Array.from(keys, (_, slot) => slot)
  /** Ranges to be sorted, each with the count of characters that its keys share. */
  const open = [{ from: 0, until: slots.length, shared: 0 }]
  for (let range = open.pop(); range !== undefined; range = open.pop()) {
    const part = slots.subarray(range.from, range.until)
    if (part.length <= COMPARED_MAX) {
      part.sort((a, b) => ((keys[a] as string) < (keys[b] as string) ? -1 : 1))
      continue
    }
    const shared = sharedBy(keys, part, range.shared)
    const marks = sortByMark(keys, part, shared)
    let from = 0
    for (let at = 1; at <= part.length; at++) {
      if (at < part.length && markOf(marks, at) === markOf(marks, from)) continue
      if (at - from > 1) {
        open.push({ from: range.from + from, until: range.from + at, shared: shared + STEP })
      }
      from = at
    }
  }
  return slots
}

const markOf = (marks: Float64Array, at: number): number =>
  Math.floor((marks[at] as number) / PLACES)

/** Sorts by the three characters behind `shared`; returns the marks, in order too. */
function sortByMark(keys: readonly string[], part: Uint32Array, shared: number): Float64Array {
  const before = part.slice()
  const marks = new Float64Array(part.length)
  for (let at = 0; at < part.length; at++) {
    const key = keys[part[at] as number] as string
    let mark = 0
    for (let place = shared; place < shared + STEP; place++) {
      mark = mark * BASE + (place < key.length ? key.charCodeAt(place) + 1 : 0)
    }
    marks[at] = mark * PLACES + at
  }
  marks.sort()
  for (let at = 0; at < part.length; at++) {
    part[at] = before[(marks[at] as number) % PLACES] as number
  }
  return marks
}

/** How many characters all keys of the range share; at least `shared` is known. */
function sharedBy(keys: readonly string[], part: Uint32Array, shared: number): number {
  const first = keys[part[0] as number] as string
  let most = first.length
  for (let at = 1; at < part.length && most > shared; at++) {
    const key = keys[part[at] as number] as string
    let same = shared
    while (same < most && key.charCodeAt(same) === first.charCodeAt(same)) same++
    most = same
  }
  return most
}
