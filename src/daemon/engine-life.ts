import type { Backend } from '../backend/backend.js'
import { discardStaged, installStaged, openEngine } from '../backend/open-engine.js'
import { SnapshotReceiver } from '../backend/snapshot-receiver.js'
import type { LogIndex } from '../base/ids.js'
import { invariant } from '../base/invariant.js'
import type { KeyValueEngine, KeyValueEngines } from '../ports/key-value-engine.js'

/** A completion as a promise. */
function promised<T>(
  run: (done: (failure: Error | undefined, result: T | undefined) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    run((failure, result) => {
      if (failure !== undefined) reject(failure)
      else {
        invariant(result !== undefined, 'what succeeded has a result')
        resolve(result)
      }
    })
  })
}

const promisedVoid = (run: (done: (failure: Error | undefined) => void) => void): Promise<true> =>
  promised((done) => run((failure) => done(failure, true)))

/**
 * Opens the live engine of a member that starts at a snapshot. When that snapshot was received and
 * a crash kept its content from being installed, that is done first.
 */
export async function openLive(
  engines: KeyValueEngines,
  snapshot: LogIndex,
): Promise<KeyValueEngine> {
  const { engine, staged } = await promised<{ engine: KeyValueEngine; staged: readonly number[] }>(
    (done) => openEngine(engines, done),
  )
  if (!staged.includes(snapshot)) {
    await promisedVoid((done) => discardStaged(engines, snapshot, done))
    return engine
  }
  await promisedVoid((done) => engine.close(done))
  return promised((done) => installStaged(engines, snapshot, done))
}

/** Puts the content of a received snapshot in the place of the live one. */
export async function replaceEngine(
  engines: KeyValueEngines,
  live: Backend,
  snapshot: LogIndex,
): Promise<KeyValueEngine> {
  await promisedVoid((done) => live.close(done))
  return promised((done) => installStaged(engines, snapshot, done))
}

/** Receives the body of a snapshot into an engine beside the live one. */
export async function stageSnapshot(
  engines: KeyValueEngines,
  snapshot: LogIndex,
  body: AsyncIterable<Uint8Array>,
): Promise<void> {
  const receiver = await promised<SnapshotReceiver>((done) =>
    SnapshotReceiver.open(engines, snapshot, done),
  )
  try {
    for await (const chunk of body) await promisedVoid((done) => receiver.push(chunk, done))
    await promisedVoid((done) => receiver.finish(done))
  } catch (error) {
    await promisedVoid((done) => receiver.abort(done))
    throw error
  }
}
