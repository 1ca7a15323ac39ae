import type { KeyValue } from '../interop/support/v3-client.js'

interface Acknowledged {
  readonly key: string
  readonly value: string
  readonly revision: number
}

/** How one event is written down: enough to tell it from every other. */
export function describeEvent(kv: KeyValue): string {
  return `${kv.mod_revision} ${kv.key.toString()} ${kv.value.toString()}`
}

/** What the writers sent and what was acknowledged. Every value is sent once, so it names its write. */
export class History {
  readonly #acknowledged: Acknowledged[] = []
  readonly #latest = new Map<string, Acknowledged>()
  readonly #sent = new Set<string>()

  get acknowledgedCount(): number {
    return this.#acknowledged.length
  }

  onSent(value: string): void {
    this.#sent.add(value)
  }

  onAcknowledged(write: Acknowledged): void {
    this.#acknowledged.push(write)
    const known = this.#latest.get(write.key)
    if (known === undefined || known.revision < write.revision) this.#latest.set(write.key, write)
  }

  /**
   * What the final state of the keys says against the history: an acknowledged write that neither stands nor was
   * overwritten later, or a value that nobody sent.
   */
  contradictions(kvs: readonly KeyValue[]): readonly string[] {
    const found: string[] = []
    const byKey = new Map(kvs.map((kv) => [kv.key.toString(), kv]))
    for (const { key, value, revision } of this.#latest.values()) {
      const kv = byKey.get(key)
      if (kv === undefined) found.push(`${key}: acknowledged at ${revision}, is not there`)
      else if (Number(kv.mod_revision) < revision) {
        found.push(`${key}: acknowledged at ${revision}, stands at ${kv.mod_revision}`)
      } else if (Number(kv.mod_revision) === revision && kv.value.toString() !== value) {
        found.push(`${key}: another value at revision ${revision}`)
      }
    }
    for (const { key, value } of kvs) {
      if (!this.#sent.has(value.toString())) found.push(`${key}: a value that nobody sent`)
    }
    return found
  }

  /** Acknowledged writes that are not among these events (`describeEvent`). */
  unseen(events: ReadonlySet<string>): readonly Acknowledged[] {
    return this.#acknowledged.filter(
      ({ key, value, revision }) => !events.has(`${revision} ${key} ${value}`),
    )
  }
}
