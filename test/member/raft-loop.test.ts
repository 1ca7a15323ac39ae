// Goal: nothing is acknowledged or applied before it is durable where it must be, and in order. Method: real cores in
// memory, a disk that completes writes when the test says so, and the story of what the loop did.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { logIndex, term } from '../../src/base/ids.js'
import { createMessage } from '../../src/raft/message.js'
import { LoopGroup, LoopMember } from './loop-group.js'

function leaderOfOne(): LoopMember {
  const member = new LoopMember(1, [1])
  member.campaign()
  member.settle()
  member.story.length = 0
  return member
}

describe('one member', () => {
  test('applies what it proposed only once that is durable', () => {
    const member = leaderOfOne()
    member.propose('a')
    expect(member.story).toEqual([])
    member.scheduler.runSoon()
    expect(member.story).toEqual(['write a'])
    expect(member.applied).not.toContain('a')
    member.completeWrite()
    member.settle()
    expect(member.story.slice(0, 4)).toEqual(['write a', 'durable a', 'apply a', 'applied 3'])
  })

  test('puts everything that comes during a write into the next one', () => {
    const member = leaderOfOne()
    member.propose('a')
    member.scheduler.runSoon()
    member.propose('b')
    member.propose('c', 'd')
    member.settle()
    expect(member.story.filter((line) => /^write \w/.test(line))).toEqual([
      'write a',
      'write b+c+d',
    ])
    expect(member.applied.slice(-4)).toEqual(['a', 'b', 'c', 'd'])
  })

  test('asks for a sync for entries, and for a commit alone writes nothing', () => {
    const member = leaderOfOne()
    member.propose('a')
    member.scheduler.runSoon()
    expect(member.writing.map(({ write }) => write.mustSync)).toEqual([true])
    member.completeWrite()
    member.settle()
    expect(member.story.filter((line) => line.startsWith('write'))).toEqual(['write a'])
    expect(member.storage.initialState().hardState.commit).toBe(3)
  })

  test('writes a deferred commit when asked, once, and before it stops', () => {
    const member = leaderOfOne()
    member.propose('a')
    member.settle()
    let isDone = false
    member.loop.writeDeferred(() => {
      isDone = true
    })
    expect(member.writing).toHaveLength(1)
    expect(member.writing[0]?.write).toMatchObject({
      hardState: { commit: 3 },
      entries: [],
      mustSync: false,
    })
    expect(isDone).toBe(false)
    member.completeWrite()
    expect(isDone).toBe(true)
    isDone = false
    member.loop.writeDeferred(() => {
      isDone = true
    })
    expect([isDone, member.writing.length]).toEqual([true, 0])
  })

  test('lets a deferred commit ride along with the next write', () => {
    const member = leaderOfOne()
    member.propose('a')
    member.settle()
    member.propose('b')
    member.scheduler.runSoon()
    expect(member.writing[0]?.write.hardState).toMatchObject({ commit: 3 })
  })

  test('votes for itself only on disk: the term and vote are synced first', () => {
    const member = new LoopMember(1, [1])
    member.campaign()
    member.scheduler.runSoon()
    // The round of pre-votes changes nothing on disk.
    expect(member.writing[0]?.write).toMatchObject({ hardState: undefined, mustSync: false })
    member.completeWrite()
    expect(member.writing[0]?.write).toMatchObject({ hardState: { vote: 1n }, mustSync: true })
    expect(member.story).not.toContain('is leader')
    member.settle()
    expect(member.story).toContain('is leader')
  })

  test('does nothing more once stopped, even when a write ends', () => {
    const member = leaderOfOne()
    member.propose('a')
    member.scheduler.runSoon()
    member.loop.stop()
    member.completeWrite()
    member.propose('b')
    member.settle()
    expect(member.applied).not.toContain('a')
    expect(member.story.filter((line) => line.startsWith('apply'))).toEqual([])
  })

  test('answers reads of one member at its commit', () => {
    const member = leaderOfOne()
    member.node.readIndex(new Uint8Array([1]))
    member.loop.poke()
    member.settle()
    expect(member.reads).toEqual([{ context: new Uint8Array([1]), index: 2 }])
  })

  test('yields to the event loop while it applies much, and then goes on', () => {
    const member = leaderOfOne()
    member.clockStepMs = 5
    const texts = Array.from({ length: 300 }, (_, at) => `e${at}`)
    member.propose(...texts)
    member.scheduler.runSoon()
    member.completeWrite()
    const first = member.applied.length
    expect(first).toBeLessThan(300)
    expect(first).toBeGreaterThan(100)
    member.scheduler.runSoon()
    expect(member.applied.length).toBeGreaterThan(first)
    member.settle()
    expect(member.applied.slice(-300)).toEqual(texts)
    expect(member.loop.appliedIndex).toBe(302)
  })
})

describe('three members', () => {
  function started(): LoopGroup {
    const group = new LoopGroup([1, 2, 3])
    group.members[0]?.campaign()
    group.settle()
    for (const member of group.members) {
      member.story.length = 0
      member.outbox.length = 0
    }
    return group
  }
  const byId = (group: LoopGroup, id: number): LoopMember => {
    const member = group.members[id - 1]
    if (member === undefined) throw new Error('no such member')
    return member
  }

  test('a leader sends entries while it still writes them', () => {
    const leader = byId(started(), 1)
    leader.propose('a')
    leader.scheduler.runSoon()
    expect(leader.story).toEqual(['send MsgApp', 'send MsgApp', 'write a'])
    expect(leader.writing).toHaveLength(1)
  })

  test('a follower acknowledges entries only once they are durable', () => {
    const group = started()
    byId(group, 1).propose('a')
    byId(group, 1).scheduler.runSoon()
    group.deliver()
    const follower = byId(group, 2)
    follower.scheduler.runSoon()
    expect(follower.story).toEqual(['write a'])
    follower.completeWrite()
    expect(follower.story).toEqual(['write a', 'durable a', 'send MsgAppResp'])
    expect(follower.outbox).toMatchObject([{ type: 'MsgAppResp', index: 3, reject: false }])
  })

  test('a follower grants its vote only once that is durable', () => {
    const group = started()
    const voter = byId(group, 2)
    const candidate = byId(group, 3)
    voter.node.step(
      createMessageFrom(candidate, 'MsgVote', {
        context: new TextEncoder().encode('CampaignTransfer'),
      }),
    )
    voter.loop.poke()
    voter.scheduler.runSoon()
    expect(voter.outbox).toEqual([])
    expect(voter.writing[0]?.write).toMatchObject({ hardState: { vote: 3n }, mustSync: true })
    voter.completeWrite()
    expect(voter.outbox).toMatchObject([{ type: 'MsgVoteResp', reject: false }])
  })

  test('a candidate asks for votes only once its own is durable', () => {
    const group = started()
    const candidate = byId(group, 2)
    candidate.node.step(createMessageFrom(byId(group, 1), 'MsgTimeoutNow', {}))
    candidate.loop.poke()
    candidate.scheduler.runSoon()
    expect(candidate.outbox).toEqual([])
    expect(candidate.writing[0]?.write).toMatchObject({ hardState: { vote: 2n }, mustSync: true })
    candidate.completeWrite()
    expect(candidate.outbox).toMatchObject([{ type: 'MsgVote' }, { type: 'MsgVote' }])
  })

  test('entries are committed by two followers before the leader itself has them on disk', () => {
    const group = started()
    const leader = byId(group, 1)
    leader.propose('a')
    leader.scheduler.runSoon()
    group.deliver()
    for (const id of [2, 3]) byId(group, id).settle()
    group.deliver()
    leader.scheduler.runSoon()
    expect(leader.durable.map((entry) => entry.index)).not.toContain(3)
    expect(leader.applied).not.toContain('a')
    group.settle()
    for (const member of group.members) expect(member.applied.at(-1)).toBe('a')
  })

  test('all apply the same, whatever the order of disks, turns and messages', () => {
    const steps = fc.array(
      fc.record({ member: fc.nat(2), what: fc.constantFrom('turn', 'disk', 'net', 'propose') }),
      { maxLength: 120 },
    )
    fc.assert(
      fc.property(steps, (schedule) => {
        const group = started()
        let count = 0
        for (const { member: at, what } of schedule) {
          const member = group.members[at]
          if (member === undefined) continue
          if (what === 'turn') member.scheduler.runSoon()
          else if (what === 'disk') member.completeWrite()
          else if (what === 'net') group.deliver()
          else byId(group, 1).propose(`p${count++}`)
          for (const one of group.members) {
            const onDisk = new Set(one.durable.map((entry) => entry.index))
            for (const message of one.outbox) {
              if (message.type !== 'MsgAppResp' || message.reject || message.index <= 1) continue
              expect(onDisk.has(message.index)).toBe(true)
            }
          }
        }
        group.settle()
        const [first, ...rest] = group.members.map((member) => member.applied)
        expect(first).toHaveLength(count + 1)
        for (const other of rest) expect(other).toEqual(first)
      }),
      { numRuns: 60 },
    )
  })

  test('a snapshot is installed before what comes behind it is written', () => {
    const group = started()
    const follower = byId(group, 2)
    const leader = byId(group, 1)
    const { confState } = leader.storage.initialState()
    const metadata = {
      confState,
      index: logIndex(50),
      term: leader.node.basicStatus().hardState.term,
    }
    const snapshot = { data: new Uint8Array(0), metadata }
    const from = { index: logIndex(50), logTerm: metadata.term }
    follower.node.step(createMessageFrom(leader, 'MsgSnap', { snapshot }))
    follower.loop.poke()
    follower.scheduler.runSoon()
    expect(follower.story).toEqual(['install 50'])
    const entry = {
      type: 'EntryNormal' as const,
      term: metadata.term,
      index: logIndex(51),
      data: new TextEncoder().encode('after'),
    }
    follower.node.step(createMessageFrom(leader, 'MsgApp', { ...from, entries: [entry] }))
    follower.loop.poke()
    follower.scheduler.runSoon()
    expect(follower.story).toEqual(['install 50'])
    expect(follower.outbox).toEqual([])
    follower.installing.shift()?.done()
    expect(follower.story).toContain('write after')
    expect(follower.outbox).toMatchObject([{ type: 'MsgAppResp', index: 50 }])
    follower.completeWrite()
    expect(follower.outbox.at(-1)).toMatchObject({ type: 'MsgAppResp', index: 51 })
    expect(follower.loop.appliedIndex).toBe(50)
  })
})

/** A message of the sender's term, one higher for a vote. */
function createMessageFrom(
  sender: LoopMember,
  type: Parameters<typeof createMessage>[0]['type'],
  fields: Partial<Parameters<typeof createMessage>[0]>,
): ReturnType<typeof createMessage> {
  const current = sender.node.basicStatus().hardState.term
  const message = createMessage({ type, index: logIndex(9), logTerm: current, ...fields })
  return {
    ...message,
    from: sender.id,
    term: type === 'MsgVote' ? term(current + 1) : current,
  }
}
