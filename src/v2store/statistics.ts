/**
 * What the store has counted since the cluster began (snapshots carry it), in the order of etcd's
 * JSON.
 */

export const STATISTICS = [
  'getsSuccess',
  'getsFail',
  'setsSuccess',
  'setsFail',
  'deleteSuccess',
  'deleteFail',
  'updateSuccess',
  'updateFail',
  'createSuccess',
  'createFail',
  'compareAndSwapSuccess',
  'compareAndSwapFail',
  'compareAndDeleteSuccess',
  'compareAndDeleteFail',
  'expireCount',
  'watchers',
] as const

export type Statistic = (typeof STATISTICS)[number]

export class Statistics {
  readonly #counts = new Map<Statistic, number>(STATISTICS.map((name) => [name, 0]))

  get(name: Statistic): number {
    return this.#counts.get(name) ?? 0
  }

  increment(name: Statistic): void {
    this.set(name, this.get(name) + 1)
  }

  set(name: Statistic, count: number): void {
    this.#counts.set(name, count)
  }

  clone(): Statistics {
    const copy = new Statistics()
    for (const name of STATISTICS) copy.set(name, this.get(name))
    return copy
  }

  /** The JSON object, numbers in etcd's order. */
  encode(): string {
    return `{${STATISTICS.map((name) => `"${name}":${this.get(name)}`).join(',')}}`
  }
}
