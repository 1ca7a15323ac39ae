/** Whole numbers from 0 to `below`, exclusive. */
export type Random = (below: number) => number

/** A small linear congruential generator: the same seed chooses the same. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

/** One of them; throws when there is none. */
export function pick<Item>(random: Random, items: readonly Item[]): Item {
  const item = items[random(items.length)]
  if (item === undefined) throw new Error('nothing to choose from')
  return item
}

/** All of them, in another order. */
export function shuffled<Item>(random: Random, items: readonly Item[]): Item[] {
  const left = [...items]
  const out: Item[] = []
  while (left.length > 0) out.push(...left.splice(random(left.length), 1))
  return out
}
