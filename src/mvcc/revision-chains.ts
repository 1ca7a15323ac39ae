import { invariant } from '../base/invariant.js'
import { CounterColumn, WordColumn } from './columns.js'

/** Marks a tombstone in the column of subs. */
const TOMBSTONE = 0x8000_0000
/** Subs share a word with the mark: one transaction can make 2^31 changes. */
const SUB_MAX = TOMBSTONE - 1

/**
 * The revisions of all keys: one chain a key, from its newest revision to its oldest. A link is a
 * number, its fields sit in columns outside the JavaScript heap: 28 bytes a revision and nothing
 * for the collector.
 *
 * Each link also knows one far older link (skew-binary jumps), so that finding a past revision in a
 * chain of n takes O(log n) steps, and adding one stays O(1).
 */
export class RevisionChains {
  readonly #main = new CounterColumn()
  readonly #sub = new WordColumn()
  readonly #rowBytes = new WordColumn()
  readonly #previous = new WordColumn()
  readonly #jump = new WordColumn()
  readonly #depth = new WordColumn()
  /** First of the freed links, chained through `previous`; 0 = none. */
  #free = 0
  #used = 0
  #count = 0

  /** Links in use: the revisions that the index knows. */
  get count(): number {
    return this.#count
  }

  main(link: number): number {
    return this.#main.get(link)
  }

  sub(link: number): number {
    return this.#sub.get(link) & SUB_MAX
  }

  isTombstone(link: number): boolean {
    return this.#sub.get(link) >= TOMBSTONE
  }

  /** Bytes of the row's value, so that what is in use is known without reading rows that go. */
  rowBytes(link: number): number {
    return this.#rowBytes.get(link)
  }

  setRowBytes(link: number, bytes: number): void {
    this.#rowBytes.set(link, bytes)
  }

  /** The next older link of the same key; 0 = none. */
  previous(link: number): number {
    return this.#previous.get(link)
  }

  /** Puts a revision in front of the chain that begins at `head` (0 = a new chain). */
  push(head: number, main: number, sub: number, isTombstone: boolean): number {
    invariant(sub <= SUB_MAX, 'a transaction makes fewer than 2^31 changes')
    const link = this.#take()
    this.#main.set(link, main)
    this.#sub.set(link, isTombstone ? sub + TOMBSTONE : sub)
    this.#join(link, head)
    return link
  }

  /** The newest link of the chain whose main revision is at most `main`; 0 = none. */
  find(head: number, main: number): number {
    let link = head
    while (link !== 0 && this.#main.get(link) > main) {
      const jump = this.#jump.get(link)
      link = jump !== 0 && this.#main.get(jump) > main ? jump : this.#previous.get(link)
    }
    return link
  }

  /**
   * Cuts the chain behind what a reader at `main` sees, and tells `visit` each link that goes. A
   * tombstone goes too when it is the newest at `main`, unless it is exactly at `main` and
   * `keepsTombstone`. Returns the chain's new head; 0 = nothing is left.
   */
  truncate(
    head: number,
    options: { readonly main: number; readonly keepsTombstone: boolean },
    visit: (link: number) => void,
  ): number {
    const seen = this.find(head, options.main)
    if (seen === 0) return head
    const isKept =
      !this.isTombstone(seen) || (options.keepsTombstone && this.#main.get(seen) === options.main)
    let gone = isKept ? this.#previous.get(seen) : seen
    if (gone === 0) return head
    const kept: number[] = []
    for (let link = head; link !== gone; link = this.#previous.get(link)) kept.push(link)
    while (gone !== 0) {
      const next = this.#previous.get(gone)
      visit(gone)
      this.#give(gone)
      gone = next
    }
    let rest = 0
    for (let at = kept.length - 1; at >= 0; at--) {
      const link = kept[at] as number
      this.#join(link, rest)
      rest = link
    }
    return rest
  }

  /** Sets the pointers of a new head; jumps double as in a skew-binary list. */
  #join(link: number, head: number): void {
    const jump = this.#jump.get(head)
    const span = this.#depth.get(head) - this.#depth.get(jump)
    const far = this.#jump.get(jump)
    const isPair = head !== 0 && span === this.#depth.get(jump) - this.#depth.get(far)
    this.#previous.set(link, head)
    this.#jump.set(link, isPair ? far : head)
    this.#depth.set(link, this.#depth.get(head) + 1)
  }

  #take(): number {
    this.#count++
    const link = this.#free
    if (link === 0) {
      invariant(this.#used < 0xffff_ffff, 'the index holds at most 2^32 - 1 revisions')
      return ++this.#used
    }
    this.#free = this.#previous.get(link)
    return link
  }

  #give(link: number): void {
    this.#count--
    this.#previous.set(link, this.#free)
    this.#free = link
  }
}
