// Goal: a follower always learns of every commit in order, and costs no message of its own while appends follow each
// other closely. Method: the keeper alone, on fake timers whose clock is also the clock it asks.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { CommitNotices, NOTICE_HOLD_MS, NOTICE_PROMPT_MS } from '../../src/peer/commit-notices.js'
import type { Message } from '../../src/wire/raftpb.js'
import { append, entries } from './messages.js'

let sent: string[] = []
let notices: CommitNotices

const describeAppend = ({ index, entries: list, commit, term }: Message): string =>
  `${term === 1 ? '' : `term ${term} `}${index}+${list.length} commit ${commit}`

const notice = (index: number, commit: number, term = 1): Message =>
  append({ from: 1, to: 2, index, entries: [], commit, term })
const write = (index: number, commit: number, term = 1): Message =>
  append({ from: 1, to: 2, index, entries: entries(index + 1, index + 2), commit, term })

/** One write, its commit, and the next write before the hold is over: from then on notices wait. */
function becomeSteady(): void {
  notices.offer(write(0, 0))
  notices.offer(notice(1, 1))
  notices.offer(write(1, 1))
  sent = []
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  sent = []
  notices = new CommitNotices({
    clock: { monotonicMs: () => performance.now(), wallMs: () => 0 },
    send: (message) => sent.push(describeAppend(message)),
  })
})
afterEach(() => {
  notices.stop()
  vi.useRealTimers()
})

describe('notices of commits', () => {
  test('leave at once while writes are far apart', () => {
    for (let index = 0; index < 3; index++) {
      notices.offer(write(index, index))
      notices.offer(notice(index + 1, index + 1))
      vi.advanceTimersByTime(NOTICE_HOLD_MS + 1)
    }
    expect(sent).toEqual([
      '0+1 commit 0',
      '1+0 commit 1',
      '1+1 commit 1',
      '2+0 commit 2',
      '2+1 commit 2',
      '3+0 commit 3',
    ])
    expect(vi.getTimerCount()).toBe(0)
  })

  test('are replaced by the next write while writes follow closely', () => {
    becomeSteady()
    notices.offer(notice(2, 2))
    expect(sent).toEqual([])
    notices.offer(write(2, 2))
    notices.offer(notice(3, 3))
    notices.offer(write(3, 3))
    expect(sent).toEqual(['2+1 commit 2', '3+1 commit 3'])
  })

  test('leave when the next write does not come, and then wait no more', () => {
    becomeSteady()
    notices.offer(notice(2, 2))
    vi.advanceTimersByTime(NOTICE_HOLD_MS)
    expect(sent).toEqual(['2+0 commit 2'])
    notices.offer(notice(2, 2))
    expect(sent).toEqual(['2+0 commit 2', '2+0 commit 2'])
    expect(vi.getTimerCount()).toBe(0)
  })

  test('are each held for their own time, though the timer was set for an earlier one', () => {
    becomeSteady()
    notices.offer(notice(2, 2))
    vi.advanceTimersByTime(NOTICE_HOLD_MS / 2)
    notices.offer(write(2, 2))
    notices.offer(notice(3, 3))
    vi.advanceTimersByTime(NOTICE_HOLD_MS / 2)
    expect(sent).toEqual(['2+1 commit 2'])
    vi.advanceTimersByTime(NOTICE_HOLD_MS)
    expect(sent).toEqual(['2+1 commit 2', '3+0 commit 3'])
  })

  test('go ahead of an append that does not say the same', () => {
    becomeSteady()
    notices.offer(notice(2, 2))
    notices.offer(write(1, 1))
    expect(sent).toEqual(['2+0 commit 2', '1+1 commit 1'])
    becomeSteady()
    notices.offer(notice(2, 2))
    notices.offer(write(2, 2, 2))
    expect(sent).toEqual(['2+0 commit 2', 'term 2 2+1 commit 2'])
  })

  test('a later notice replaces an earlier one', () => {
    becomeSteady()
    notices.offer(notice(2, 2))
    notices.offer(notice(2, 3))
    notices.flush()
    expect(sent).toEqual(['2+0 commit 3'])
  })

  test('leave at once to a follower whose clients wait', () => {
    becomeSteady()
    notices.offer(notice(2, 2))
    notices.hurry()
    expect(sent).toEqual(['2+0 commit 2'])
    notices.offer(write(2, 2))
    notices.offer(notice(3, 3))
    expect(sent).toEqual(['2+0 commit 2', '2+1 commit 2', '3+0 commit 3'])
    vi.advanceTimersByTime(NOTICE_PROMPT_MS)
    becomeSteady()
    notices.offer(notice(2, 2))
    expect(sent).toEqual([])
  })

  test('leave when the peer is given up', () => {
    becomeSteady()
    notices.offer(notice(2, 2))
    notices.stop()
    expect(sent).toEqual(['2+0 commit 2'])
    expect(vi.getTimerCount()).toBe(0)
  })
})
