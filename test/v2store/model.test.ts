// Goal: the tree agrees with a naïve twin. Method: random operations on a few nested keys; the twin keeps a flat
// map of paths and answers by scanning it. Also: the JSON survives a round trip, and members that applied the
// same operations agree.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { V2Result } from '../../src/v2store/operations.js'
import { V2Store } from '../../src/v2store/store.js'

type Operation =
  | { readonly kind: 'set' | 'create' | 'update'; readonly path: string; readonly value: string }
  | { readonly kind: 'mkdir'; readonly path: string }
  | {
      readonly kind: 'cas' | 'cad'
      readonly path: string
      readonly prevValue: string
      readonly prevIndex: number
    }
  | { readonly kind: 'delete'; readonly path: string; readonly flags: number }
  | { readonly kind: 'expire-soon'; readonly path: string; readonly ns: bigint }
  | { readonly kind: 'sync'; readonly ns: bigint }

interface Cell {
  readonly value: string | undefined
  readonly created: number
  readonly modified: number
  readonly end?: bigint | undefined
}

const BASE_NS = 1_000_000_000_000_000_000n

/** Every node by its path; a directory has no value. Answers are an error code or the new index. */
class Twin {
  cells = new Map<string, Cell>()
  index = 0

  #parents(path: string): readonly string[] {
    const names = path.split('/').slice(1, -1)
    return names.map((_, at) => `/${names.slice(0, at + 1).join('/')}`).slice(1)
  }

  #lookup(path: string): Cell | 'missing' | 'file in the way' {
    for (const parent of this.#parents(path)) {
      const cell = this.cells.get(parent)
      if (cell === undefined) return 'missing'
      if (cell.value !== undefined) return 'file in the way'
    }
    return this.cells.get(path) ?? 'missing'
  }

  #below(path: string): readonly string[] {
    return [...this.cells.keys()].filter((key) => key.startsWith(`${path}/`))
  }

  #make(path: string, cell: Omit<Cell, 'created' | 'modified'>): number {
    this.index++
    const indexes = { created: this.index, modified: this.index }
    for (const parent of this.#parents(path)) {
      if (!this.cells.has(parent)) this.cells.set(parent, { value: undefined, ...indexes })
    }
    this.cells.set(path, { ...cell, ...indexes })
    return -this.index
  }

  #drop(path: string): number {
    for (const key of [path, ...this.#below(path)]) this.cells.delete(key)
    return -++this.index
  }

  #refusal(cell: 'missing' | 'file in the way'): number {
    return cell === 'missing' ? 100 : 104
  }

  run(operation: Operation): number {
    if (operation.kind === 'sync') {
      for (;;) {
        const ended = [...this.cells].filter(([, cell]) => (cell.end ?? 1n << 63n) <= operation.ns)
        if (ended.length === 0) return -this.index
        const [path] = ended.sort((a, b) => Number((a[1].end ?? 0n) - (b[1].end ?? 0n)))[0] ?? ['']
        this.#drop(path)
      }
    }
    const cell = this.#lookup(operation.path)
    const { path } = operation
    switch (operation.kind) {
      case 'set':
      case 'mkdir':
      case 'expire-soon': {
        if (cell === 'file in the way') return 104
        if (cell !== 'missing' && cell.value === undefined) return 102
        const end = operation.kind === 'expire-soon' ? operation.ns : undefined
        const value = operation.kind === 'mkdir' ? undefined : 'x'
        return this.#make(path, { value: operation.kind === 'set' ? operation.value : value, end })
      }
      case 'create':
        if (cell === 'file in the way') return 104
        return cell === 'missing' ? this.#make(path, { value: operation.value }) : 105
      case 'update':
        if (typeof cell === 'string') return this.#refusal(cell)
        if (cell.value === undefined && operation.value !== '') return 102
        this.index++
        this.cells.set(path, {
          value: cell.value === undefined ? undefined : operation.value,
          created: cell.created,
          modified: cell.value === undefined ? cell.modified : this.index,
        })
        return -this.index
      case 'cas':
      case 'cad': {
        if (typeof cell === 'string') return this.#refusal(cell)
        if (cell.value === undefined) return 102
        const { prevValue, prevIndex } = operation
        const isValue = prevValue === '' || prevValue === cell.value
        const isIndex = prevIndex === 0 || prevIndex === cell.modified
        if (!isValue || !isIndex) return 101
        if (operation.kind === 'cad') return this.#drop(path)
        this.index++
        this.cells.set(path, { value: 'swapped', created: cell.created, modified: this.index })
        return -this.index
      }
      case 'delete': {
        if (typeof cell === 'string') return this.#refusal(cell)
        const [isDirectory, isRecursive] = [operation.flags % 2 === 1, operation.flags > 1]
        if (cell.value === undefined && !isRecursive) {
          if (!isDirectory) return 102
          if (this.#below(path).length > 0) return 108
        }
        return this.#drop(path)
      }
    }
  }
}

function run(store: V2Store, operation: Operation): number {
  const nowMs = 0
  const answer = (result: V2Result): number =>
    result.kind === 'error' ? result.error.code : -result.event.etcdIndex
  switch (operation.kind) {
    case 'sync':
      store.deleteExpiredKeys(operation.ns, nowMs)
      return -store.index
    case 'set':
      return answer(store.set({ ...operation, nowMs, isDirectory: false }))
    case 'mkdir':
      return answer(store.set({ ...operation, nowMs, value: '', isDirectory: true }))
    case 'expire-soon': {
      const { path, ns: expirationNs } = operation
      return answer(store.set({ path, nowMs, value: 'x', isDirectory: false, expirationNs }))
    }
    case 'create':
      return answer(store.create({ ...operation, nowMs, isDirectory: false, isUnique: false }))
    case 'update':
      return answer(store.update({ ...operation, nowMs }))
    case 'cas':
      return answer(store.compareAndSwap({ ...operation, nowMs, value: 'swapped' }))
    case 'cad':
      return answer(store.compareAndDelete({ ...operation, nowMs }))
    case 'delete': {
      const [isDirectory, isRecursive] = [operation.flags % 2 === 1, operation.flags > 1]
      return answer(store.delete({ path: operation.path, nowMs, isDirectory, isRecursive }))
    }
  }
}

function cellsOf(store: V2Store): Map<string, Cell> {
  const cells = new Map<string, Cell>()
  const tree = JSON.parse(new TextDecoder().decode(store.saveNoCopy())).Root
  const walk = (node: Record<string, never>): void => {
    for (const child of Object.values(node.Children ?? {}) as Record<string, never>[]) {
      const { Path, Value, CreatedIndex, ModifiedIndex, Children } = child
      if (Path !== '/0' && Path !== '/1') {
        const indexes = { created: Number(CreatedIndex), modified: Number(ModifiedIndex) }
        cells.set(String(Path), { value: Children === null ? Value : undefined, ...indexes })
      }
      walk(child)
    }
  }
  walk(tree)
  return cells
}

const name = fc.constantFrom('a', 'b', '_c')
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => `/1/${names.join('/')}`)
const value = fc.constantFrom('', 'v', 'w')
// Ends differ, because the order among equal ones is the heap's own affair.
let nextEnd = 0n
const end = fc.integer({ min: 0, max: 50 }).map((at) => BASE_NS + BigInt(at) * 1000n + nextEnd++)
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ kind: fc.constantFrom('set', 'create', 'update'), path, value }),
  fc.record({ kind: fc.constant('mkdir' as const), path }),
  fc.record({
    kind: fc.constantFrom('cas', 'cad'),
    path,
    prevValue: value,
    prevIndex: fc.integer({ min: 0, max: 8 }),
  }),
  fc.record({ kind: fc.constant('delete' as const), path, flags: fc.integer({ min: 0, max: 3 }) }),
  fc.record({ kind: fc.constant('expire-soon' as const), path, ns: end }),
  fc.record({ kind: fc.constant('sync' as const), ns: end }),
)
const history = fc.array(operation, { maxLength: 40 })

describe('any history', () => {
  test('gives the answers and the nodes of the naïve twin', () => {
    fc.assert(
      fc.property(history, (operations) => {
        const [store, twin] = [new V2Store(), new Twin()]
        for (const each of operations) expect(run(store, each)).toBe(twin.run(each))
        const expected = [...twin.cells].map(
          ([key, { value: text, created, modified }]) =>
            [key, { value: text, created, modified }] as const,
        )
        expect(cellsOf(store)).toEqual(new Map(expected))
        expect(store.index).toBe(twin.index)
      }),
      { numRuns: 200 },
    )
  })

  test('is continued by a recovered store as by the one that never stopped', () => {
    fc.assert(
      fc.property(history, history, (before, after) => {
        const [store, recovered] = [new V2Store(), new V2Store()]
        for (const each of before) run(store, each)
        const state = store.saveNoCopy()
        expect(recovered.recover(state).kind).toBe('recovered')
        expect(recovered.saveNoCopy()).toEqual(state)
        for (const each of after) expect(run(recovered, each)).toBe(run(store, each))
        expect(recovered.saveNoCopy()).toEqual(store.saveNoCopy())
      }),
      { numRuns: 30 },
    )
  })
})
