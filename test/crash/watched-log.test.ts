// Goal: what the fault loop is judged by finds what it must find. Method: histories and events made by hand, right ones
// and ones with a single mistake in them.
import { expect, test } from 'vitest'
import { bytesFromLatin1 } from '../../src/base/latin1.js'
import * as rpc from '../../src/wire/rpc.js'
import type { Event } from '../interop/support/v3-client.js'
import { History, type Operation } from '../simulation/history.js'
import { replayCheck } from '../simulation/linearizability/replay-check.js'
import { searchCheck } from '../simulation/linearizability/windows.js'
import { WatchedLog } from './watched-log.js'

const KEY = bytesFromLatin1('k')

/** A history of one client; each operation takes 10 us and begins 10 us behind the one before. */
class Story {
  readonly history = new History()
  readonly events: Event[] = []
  #nowUs = 0
  #create = 0
  #version = 0

  #take(request: Operation['request'], outcome: Operation['outcome']): this {
    const operation = this.history.begin(0, 0, request, this.#nowUs)
    operation.outcome = outcome
    if (outcome.kind === 'answered') operation.returnedUs = this.#nowUs + 10
    this.#nowUs += 20
    return this
  }

  /** A put that makes `revision`, or none; without an answer when `isOpen`. */
  put(value: string, revision: number, isOpen = false): this {
    const encoded = rpc.PutRequest.encode({ key: KEY, value: bytesFromLatin1(value) })
    const answered = { kind: 'answered', revision, response: 'put' } as const
    const outcome = isOpen ? ({ kind: 'unknown' } as const) : answered
    return this.#take({ kind: 'write', operation: 'put', encoded }, outcome)
  }

  read(value: string, at: Readonly<{ revision: number; kv: string }>): this {
    const request = rpc.RangeRequest.create({ key: KEY })
    const response = `range[k=${value}@${at.kv}]1`
    return this.#take(
      { kind: 'read', request },
      { kind: 'answered', revision: at.revision, response },
    )
  }

  event(value: string, revision: number): this {
    if (this.#create === 0) this.#create = revision
    this.#version += 1
    const kv = {
      key: Buffer.from('k'),
      value: Buffer.from(value),
      create_revision: String(this.#create),
      mod_revision: String(revision),
      version: String(this.#version),
      lease: '0',
    }
    this.events.push({ type: 'PUT', kv })
    return this
  }

  /** What following the events says, then both checkers. */
  verdicts(): readonly (string | undefined)[] {
    const log = new WatchedLog()
    const { operations } = this.history
    log.know(operations)
    const followed = log.follow(this.events)
    return [followed, replayCheck(log.replayed, operations), searchCheck(operations, ['k'])]
  }
}

test('a history that is right is found to be', () => {
  const story = new Story().put('a', 2).event('a', 2).read('a', { revision: 2, kv: '2/2/1/0' })
  story.put('b', 0, true).event('b', 3).read('b', { revision: 3, kv: '2/3/2/0' })
  expect(story.verdicts()).toEqual([undefined, undefined, undefined])
})

test('a write without answer may never have happened', () => {
  const story = new Story().put('a', 2).event('a', 2).put('b', 0, true)
  story.read('a', { revision: 2, kv: '2/2/1/0' })
  expect(story.verdicts()).toEqual([undefined, undefined, undefined])
})

test('an acknowledged write that was lost is found', () => {
  const story = new Story().put('a', 2).event('a', 2).put('b', 3)
  story.read('a', { revision: 2, kv: '2/2/1/0' })
  const [followed, replayed, searched] = story.verdicts()
  expect(followed).toBeUndefined()
  expect(replayed).toContain('answered with revision 3, but the log has only 2')
  expect(searched).toBe('no order explains what was seen of k')
})

test('a stale read is found', () => {
  const story = new Story().put('a', 2).event('a', 2).put('b', 3).event('b', 3)
  story.read('a', { revision: 2, kv: '2/2/1/0' })
  const [, replayed, searched] = story.verdicts()
  expect(replayed).toContain('stale read: revision 2, but 3 was acknowledged')
  expect(searched).toBe('no order explains what was seen of k')
})

test('an event that a watcher missed, saw twice, or that nobody wrote is found', () => {
  const missed = new Story().put('a', 2).put('b', 3).event('b', 3)
  expect(missed.verdicts()[0]).toBe('3 PUT k=b@3/1 came behind revision 1')
  const strange = new Story().put('a', 2).event('x', 2)
  expect(strange.verdicts()[0]).toBe('2 PUT k=x@2/1: a value that nobody sent')
  const twice = new Story().put('a', 2).event('a', 2).event('a', 3)
  expect(twice.verdicts()[0]).toBe('3 PUT k=a@2/2 was written at 2 already')
})

test('an event that is not what the model makes of its write is found', () => {
  const story = new Story().put('a', 2).event('a', 2).put('b', 3).event('b', 3)
  const [first, second] = story.events
  const kv = { ...(second as Event).kv, version: '7' }
  story.events.splice(0, 2, first as Event, { type: 'PUT', kv })
  expect(story.verdicts()[0]).toBe('3 PUT k=b@2/7, but the model has 3 PUT k=b@2/2')
})
