/** One operation on one register, as its client saw it. */
export interface RegisterOperation {
  readonly calledUs: number
  /** Infinity when no answer came: it may have happened or not. */
  readonly returnedUs: number
  readonly kind: 'write' | 'read' | 'compare-and-set'
  /** Written; for a read, what it gave. Undefined = the key is absent. */
  readonly value: string | undefined
  /** For compare-and-set: the value it needs, and whether it was found to hold; undefined = not known. */
  readonly needs?: string | undefined
  readonly succeeded?: boolean | undefined
}

/** Operations in one window at most: each is a bit of the set of those that are placed. */
export const WINDOW_OPERATIONS_MAX = 500
/** Steps after which a search is given up: the other checker has judged the same history by then. */
const STEPS_MAX = 50_000

interface Entry {
  readonly operation: number
  readonly isCall: boolean
  previous: Entry | undefined
  next: Entry | undefined
  /** Of a call: its return. */
  match: Entry | undefined
}

/** What the operation makes of the register; undefined when its answer was impossible. */
function step(
  state: string | undefined,
  operation: RegisterOperation,
): { readonly state: string | undefined } | undefined {
  const isOpen = operation.returnedUs === Number.POSITIVE_INFINITY
  switch (operation.kind) {
    case 'write':
      return { state: operation.value }
    case 'read':
      return isOpen || operation.value === state ? { state } : undefined
    case 'compare-and-set': {
      const holds = operation.needs === state
      if (!isOpen && operation.succeeded !== undefined && operation.succeeded !== holds)
        return undefined
      return { state: holds ? operation.value : state }
    }
  }
}

/** Calls and returns in the order of time; a return comes behind a call of the same moment. */
function linked(operations: readonly RegisterOperation[]): Entry {
  const points = operations.flatMap(({ calledUs, returnedUs }, operation) => [
    { operation, isCall: true, atUs: calledUs },
    { operation, isCall: false, atUs: returnedUs },
  ])
  points.sort((a, b) =>
    a.atUs === b.atUs ? Number(b.isCall) - Number(a.isCall) : a.atUs < b.atUs ? -1 : 1,
  )
  const head: Entry = {
    operation: -1,
    isCall: false,
    previous: undefined,
    next: undefined,
    match: undefined,
  }
  const calls = new Map<number, Entry>()
  let last = head
  for (const { operation, isCall } of points) {
    const entry: Entry = { operation, isCall, previous: last, next: undefined, match: undefined }
    last.next = entry
    last = entry
    if (isCall) calls.set(operation, entry)
    else {
      const call = calls.get(operation)
      if (call !== undefined) call.match = entry
    }
  }
  return head
}

function unlink(entry: Entry | undefined): void {
  if (entry?.previous !== undefined) entry.previous.next = entry.next
  if (entry?.next !== undefined) entry.next.previous = entry.previous
}

function relink(entry: Entry | undefined): void {
  if (entry?.previous !== undefined) entry.previous.next = entry
  if (entry?.next !== undefined) entry.next.previous = entry
}

/**
 * Whether some order of the operations, each between its call and its return, explains all answers: the search of Wing
 * and Gong with Lowe's memory of what was tried. It knows nothing of logs and revisions. Exponential at worst, so it
 * is given small windows of one key.
 */
export function isLinearizable(
  operations: readonly RegisterOperation[],
  initial: string | undefined,
): boolean | 'undecided' {
  if (operations.length > WINDOW_OPERATIONS_MAX) throw new Error('the window is too large')
  const head = linked(operations)
  const placed = new Uint8Array(operations.length)
  const tried = new Set<string>()
  const stack: { readonly entry: Entry; readonly state: string | undefined }[] = []
  let state = initial
  let certainLeft = operations.filter(
    ({ returnedUs }) => returnedUs !== Number.POSITIVE_INFINITY,
  ).length
  let entry = head.next
  // What never returned may be left out: everything certain placed is enough.
  for (let steps = 0; certainLeft > 0; steps++) {
    if (steps >= STEPS_MAX) return 'undecided'
    if (entry?.isCall === true) {
      const operation = operations[entry.operation]
      const after = operation === undefined ? undefined : step(state, operation)
      if (after !== undefined && operation !== undefined) {
        placed[entry.operation] = 1
        const key = `${placed.join('')}|${after.state ?? '\0'}`
        if (!tried.has(key)) {
          tried.add(key)
          stack.push({ entry, state })
          state = after.state
          if (operation.returnedUs !== Number.POSITIVE_INFINITY) certainLeft--
          unlink(entry)
          unlink(entry.match)
          entry = head.next
          continue
        }
        placed[entry.operation] = 0
      }
      entry = entry.next
      continue
    }
    // A return that cannot wait, or the end: the last choice was wrong.
    const last = stack.pop()
    if (last === undefined) return false
    const operation = operations[last.entry.operation]
    placed[last.entry.operation] = 0
    if (operation !== undefined && operation.returnedUs !== Number.POSITIVE_INFINITY) certainLeft++
    state = last.state
    relink(last.entry.match)
    relink(last.entry)
    entry = last.entry.next
  }
  return true
}
