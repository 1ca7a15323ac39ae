// Goal: whatever happens to members, disks, clocks and the network between them, clients see one linearizable store,
// watchers see every event once, and members agree. Method: rounds (CRASH_ROUNDS) on three members; each disturbs them
// in one way (faults.ts) while clients note calls and answers, unknown ones too, then lets them get well and judges
// the round with both checkers of the simulator, the watches and the hashes. CRASH_SEED repeats the choices,
// CRASH_FAULTS (names, comma-separated) limits them. Beside watchers that go on where they stopped, CRASH_WATCHERS
// others begin anew all the time, anywhere; a revision that one of them does not get is asked of every member at once.
import { appendFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ROOT } from '../interop/support/member-process.js'
import { describeWith } from '../interop/support/requirements.js'
import { pause, until } from '../interop/support/until.js'
import { prefixEnd } from '../interop/support/v3-client.js'
import { History, type Operation } from '../simulation/history.js'
import { checkHistory } from '../simulation/linearizability/check-history.js'
import { readHistory } from '../simulation/linearizability/history-file.js'
import { replayCheck } from '../simulation/linearizability/replay-check.js'
import { searchCheck } from '../simulation/linearizability/windows.js'
import { Arena } from './arena.js'
import { askMembers } from './ask-members.js'
import { FAULTS } from './faults.js'
import { createRandom, shuffled } from './random.js'
import { RecordingClient } from './recording-client.js'
import { ResumingWatcher } from './resuming-watcher.js'
import { RoamingWatchers } from './roaming-watchers.js'
import { describeEvent, WatchedLog } from './watched-log.js'
import type { Revisions } from './watched-stream.js'
import { writeHistory } from './write-history.js'

const ROUNDS = Number(process.env.CRASH_ROUNDS ?? 30)
const SEED = Number(process.env.CRASH_SEED ?? Date.now() % 1_000_000)
const NAMES = process.env.CRASH_FAULTS?.split(',') ?? [...FAULTS.keys()]
const ROAMING = Number(process.env.CRASH_WATCHERS ?? 6)
const CLIENTS = 6
const KEYS_PER_ROUND = 6
/** Before the fault and after it, in milliseconds. */
const QUIET_MS = 250
const HEALTHY_WITHIN_MS = 60_000
/** Members are asked for the first so many revisions that a watcher did not get. */
const ASKED_MAX = 3
/** So much of what watchers saw wrong is told. */
const SHOWN_MAX = 12
const PREFIX = 'fault/'
/** Revision 1 is that of an empty store: no event has it. */
const FIRST_REVISION = 2

describeWith(['daemon', 'etcdctl'], `members disturbed in every way (CRASH_SEED=${SEED})`, () => {
  let arena: Arena
  const clients: RecordingClient[] = []
  const watchers: ResumingWatcher[] = []
  let roaming: RoamingWatchers | undefined
  /** What members have of revisions that a watcher did not get. */
  const asked: Promise<string>[] = []
  const log = new WatchedLog()
  const random = createRandom(SEED)
  /** Of all rounds: what `npm run checker -- .tmp/crash-history.jsonl` judges at leisure. */
  const operations: Operation[] = []

  beforeAll(async () => {
    arena = await Arena.start('faults')
    const urls = arena.cluster.members.map(({ clientUrl }) => clientUrl)
    for (const [at] of urls.entries()) {
      const rotated = [...urls.slice(at), ...urls.slice(0, at)]
      const options = { urls: rotated, prefix: PREFIX, startRevision: FIRST_REVISION, onMissing }
      watchers.push(new ResumingWatcher(options))
    }
    roaming = new RoamingWatchers({
      count: ROAMING,
      urls,
      prefix: PREFIX,
      random: createRandom(SEED - 1),
      newest: () => Math.max(...watchers.map(({ lastRevision }) => lastRevision)),
      onMissing,
    })
    for (let id = 0; id < CLIENTS; id += 1) {
      clients.push(new RecordingClient({ id, urls, random: createRandom(SEED + id) }))
    }
  })
  afterAll(async () => {
    await Promise.all(clients.map((client) => client.stop()))
    noteHistory()
    for (const client of clients) client.close()
    for (const watcher of watchers) watcher.close()
    roaming?.close()
    await arena?.destroy()
  })

  function onMissing({ first }: Revisions): void {
    if (asked.length < ASKED_MAX) asked.push(askMembers(arena.cluster, first))
  }

  function noteHistory(): string {
    const path = join(ROOT, '.tmp', 'crash-history.jsonl')
    writeHistory(path, { operations, watchers, prefix: PREFIX, end: prefixEnd(PREFIX) })
    return path
  }

  /** Waits until every watcher has the newest revision of every member, and judges what they saw. */
  async function judgeWatches(): Promise<void> {
    const revision = Math.max(...(await arena.cluster.status()).map((row) => row.revision))
    for (const watcher of watchers) {
      await until(`event ${revision}`, () => watcher.lastRevision >= revision, HEALTHY_WITHIN_MS)
    }
    const disorder = [...watchers, ...(roaming === undefined ? [] : [roaming])].flatMap(
      (one) => one.disorder,
    )
    if (disorder.length > 0) {
      const shown = [...(await Promise.all(asked)), ...disorder.slice(0, SHOWN_MAX)]
      throw new Error(shown.join('\n'))
    }
    const [model, ...rest] = watchers.map(({ whole }) => whole.map(describeEvent))
    for (const other of rest) {
      const length = Math.min(other.length, model?.length ?? 0)
      expect(other.slice(0, length)).toEqual(model?.slice(0, length))
    }
  }

  async function playRound(round: number, name: string): Promise<string> {
    const history = new History()
    const keys = Array.from({ length: KEYS_PER_ROUND }, (_, at) => `${PREFIX}${round}/${at}`)
    for (const client of clients) client.start(history, keys)
    await pause(QUIET_MS)
    const seenRevision = (): number =>
      Math.max(1, Math.min(...watchers.map(({ lastRevision }) => lastRevision)))
    const did = await FAULTS.get(name)?.({ arena, random, seenRevision })
    await arena.cluster.healthy(HEALTHY_WITHIN_MS)
    await arena.learnIds()
    await pause(QUIET_MS)
    await Promise.all(clients.map((client) => client.stop()))
    await clients[0]?.readAll(history, keys)
    operations.push(...history.operations)
    await judgeWatches()
    log.know(history.operations)
    const problem =
      log.follow(watchers[0]?.whole ?? []) ??
      replayCheck(log.replayed, history.operations) ??
      searchCheck(history.operations, keys)
    // An assertion would cut the text short.
    if (problem !== undefined) throw new Error(problem)
    expect((await arena.cluster.hashes()).size).toBe(1)
    const answered = history.operations.filter(({ outcome }) => outcome.kind === 'answered').length
    expect(answered).toBeGreaterThanOrEqual(KEYS_PER_ROUND)
    const { length } = history.operations
    return `${did}: ${answered} of ${length} operations answered, roaming ${roaming?.figures}`
  }

  test(`${ROUNDS} rounds`, async () => {
    const folder = join(ROOT, '.tmp')
    mkdirSync(folder, { recursive: true })
    const note = (line: string): void => {
      appendFileSync(join(folder, 'crash-rounds.txt'), `${line}\n`)
    }
    note(`seed ${SEED}`)
    let deck: string[] = []
    for (let round = 1; round <= ROUNDS; round += 1) {
      if (deck.length === 0) deck = shuffled(random, NAMES)
      const name = deck.pop() ?? ''
      const startedMs = Date.now()
      try {
        const did = await playRound(round, name)
        note(`${round} ${name} ${did}, ${Date.now() - startedMs} ms`)
      } catch (error) {
        note(`${round} ${name} FAILED ${String(error).slice(0, 2000)}`)
        throw new Error(`round ${round}, ${name}: ${String(error)}\n${arena.cluster.logs(8000)}`)
      }
    }
  })

  test('all rounds together are one sound history', () => {
    const verdicts = checkHistory(readHistory(noteHistory()))
    expect(verdicts.map(({ check, problem }) => [check, problem])).toEqual([
      ['watch', undefined],
      ['replay', undefined],
      ['search', undefined],
    ])
  })
})
