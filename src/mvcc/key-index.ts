import { invariant } from '../base/invariant.js'
import { CounterColumn, WordColumn } from './columns.js'
import { KeysInOrder } from './keys-in-order.js'
import { OrderedKeys } from './ordered-keys.js'
import { RevisionChains } from './revision-chains.js'
import { type HashSeed, SlotTable } from './slot-table.js'
import { sortedSlots } from './sorted-slots.js'

/** No such key. */
export const NO_SLOT = -1

/**
 * Which revisions each key has. A key has a slot, a small number; what is known of it sits in
 * columns at that number. A key of one revision costs its string, a place in the table and in the
 * tree, and 48 bytes of columns.
 */
export class KeyIndex {
  readonly chains = new RevisionChains()
  readonly #keys: string[] = []
  readonly #slots: SlotTable
  /** The newest link of the key's chain; 0 = the slot is free. */
  readonly #head = new WordColumn()
  /** Create revision and version of the living key; 0 when its newest revision is a tombstone. */
  readonly #created = new CounterColumn()
  readonly #version = new CounterColumn()
  readonly #ordered = new OrderedKeys((slot) => this.#version.get(slot) !== 0)
  readonly #freeSlots: number[] = []
  /** Keys of a kept index, while it is being taken over. */
  #gathered: KeysInOrder | undefined
  /** The keys are not in order yet: `endRestore` sees to that. */
  #isUnordered = true

  constructor(seed?: HashSeed) {
    this.#slots = new SlotTable(this.#keys, seed)
  }

  /** Keys known, deleted ones that were not compacted yet included. */
  get keyCount(): number {
    return this.#slots.size
  }

  /** Keys that live at the newest revision. */
  get liveCount(): number {
    return this.#ordered.liveCount
  }

  /** Slots are below this. */
  get slotEnd(): number {
    return this.#keys.length
  }

  slotOf(key: string): number {
    return this.#slots.get(key)
  }

  keyOf(slot: number): string {
    return this.#keys[slot] as string
  }

  isLive(slot: number): boolean {
    return this.#version.get(slot) !== 0
  }

  createRevision(slot: number): number {
    return this.#created.get(slot)
  }

  version(slot: number): number {
    return this.#version.get(slot)
  }

  /** The newest link of the key; 0 = the slot is free. */
  head(slot: number): number {
    return this.#head.get(slot)
  }

  /** The link of the revision that a reader at `main` sees; 0 when the key does not live there. */
  seenAt(slot: number, main: number): number {
    const link = this.chains.find(this.#head.get(slot), main)
    return link === 0 || this.chains.isTombstone(link) ? 0 : link
  }

  /**
   * Records a put. Returns the slot, of which `createRevision` and `version` are then up to date.
   */
  put(key: string, main: number, sub: number): number {
    const slot = this.#slots.get(key)
    if (slot === NO_SLOT) return this.#add(key, main, sub)
    const version = this.#version.get(slot)
    this.#head.set(slot, this.chains.push(this.#head.get(slot), main, sub, false))
    if (version === 0) this.#created.set(slot, main)
    this.#version.set(slot, version + 1)
    if (version === 0) this.#ordered.addLive(key, 1)
    return slot
  }

  /** Says how long the value of the key's newest row is. */
  setRowBytes(slot: number, bytes: number): void {
    this.chains.setRowBytes(this.#head.get(slot), bytes)
  }

  /** Records a deletion of a key that lives. */
  delete(slot: number, main: number, sub: number): void {
    invariant(this.#version.get(slot) !== 0, 'only a living key can be deleted')
    this.#head.set(slot, this.chains.push(this.#head.get(slot), main, sub, true))
    this.#created.set(slot, 0)
    this.#version.set(slot, 0)
    this.#ordered.addLive(this.keyOf(slot), -1)
  }

  /**
   * Takes over a key whose revisions were pushed onto `chains` already. Keys come in order and
   * before any row; false when this one does not.
   */
  restoreKey(
    key: string,
    newest: Readonly<{ head: number; createRevision: number; version: number }>,
  ): boolean {
    this.#gathered ??= new KeysInOrder()
    if (!this.#gathered.isAboveLast(key)) return false
    const slot = this.#takeSlot(key)
    this.#slots.add(slot)
    this.#head.set(slot, newest.head)
    this.#created.set(slot, newest.createRevision)
    this.#version.set(slot, newest.version)
    this.#gathered.append(key, slot, newest.version !== 0)
    return true
  }

  /**
   * Takes over a row read from disk; rows come in revision order, and `endRestore` after the last.
   */
  restore(
    key: string,
    row: Readonly<{
      main: number
      sub: number
      createRevision: number
      version: number
      bytes: number
    }>,
  ): void {
    if (this.#gathered !== undefined) this.#endGathering(this.#gathered)
    const found = this.#slots.get(key)
    const isNew = found === NO_SLOT
    const slot = isNew ? this.#takeSlot(key) : found
    if (isNew) this.#slots.addSought(slot)
    const isTombstone = row.version === 0
    const wasLive = !isNew && this.#version.get(slot) !== 0
    const head = isNew ? 0 : this.#head.get(slot)
    this.#head.set(slot, this.chains.push(head, row.main, row.sub, isTombstone))
    this.setRowBytes(slot, row.bytes)
    this.#created.set(slot, isTombstone ? 0 : row.createRevision)
    this.#version.set(slot, row.version)
    if (this.#isUnordered) return
    if (isNew) this.#ordered.insert(key, slot)
    else if (wasLive === isTombstone) this.#ordered.addLive(key, isTombstone ? -1 : 1)
  }

  /** Puts the restored keys in order: all at once is three times quicker than one by one. */
  endRestore(): void {
    if (this.#gathered !== undefined) this.#endGathering(this.#gathered)
    if (!this.#isUnordered) return
    const keys = new KeysInOrder()
    for (const slot of sortedSlots(this.#keys)) {
      keys.append(this.keyOf(slot), slot, this.#version.get(slot) !== 0)
    }
    this.#endGathering(keys)
  }

  #endGathering(keys: KeysInOrder): void {
    this.#ordered.build(keys)
    this.#gathered = undefined
    this.#isUnordered = false
  }

  /** How many keys live in [start, end) at the newest revision; O(log n). */
  countLive(start: string, end: string | undefined): number {
    return this.#ordered.countLive(start, end)
  }

  /**
   * Visits the keys of [start, end) in order, deleted ones included, until `visit` returns false.
   */
  walk(
    start: string,
    end: string | undefined,
    visit: (key: string, slot: number) => boolean,
  ): void {
    this.#ordered.walk(start, end, visit)
  }

  /** Forgets what no reader at `main` or later sees of one key; see RevisionChains.truncate. */
  compactSlot(
    slot: number,
    options: { readonly main: number; readonly keepsTombstone: boolean },
    visit: (link: number) => void,
  ): void {
    const head = this.#head.get(slot)
    if (head === 0) return
    const isSettled = this.chains.previous(head) === 0 && !this.chains.isTombstone(head)
    if (isSettled) return
    const rest = this.chains.truncate(head, options, visit)
    this.#head.set(slot, rest)
    if (rest !== 0) return
    const key = this.keyOf(slot)
    this.#ordered.remove(key)
    this.#slots.delete(key)
    this.#keys[slot] = ''
    this.#freeSlots.push(slot)
  }

  #add(key: string, main: number, sub: number): number {
    const slot = this.#takeSlot(key)
    this.#slots.addSought(slot)
    this.#head.set(slot, this.chains.push(0, main, sub, false))
    this.#created.set(slot, main)
    this.#version.set(slot, 1)
    this.#ordered.insert(key, slot)
    return slot
  }

  #takeSlot(key: string): number {
    const slot = this.#freeSlots.pop() ?? this.#keys.length
    this.#keys[slot] = key
    return slot
  }
}
