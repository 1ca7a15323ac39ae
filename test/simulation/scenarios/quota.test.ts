import { expect, test } from 'vitest'
import { bytesFromLatin1 } from '../../../src/base/latin1.js'
import { CompactionRequest, PutRequest } from '../../../src/wire/rpc.js'
import { PLAIN_WORLD } from '../world-options.js'
import { Scenario } from './scenario.js'

// Goal: a member whose own quota is used up says so, whoever leads. Method: a follower alone is not defragmented, so the
// next write fits everywhere but there.
const QUOTA_BYTES = 60_000
const VALUE_BYTES = 3000
const WRITES = 19

test('a follower that runs out of space raises the alarm for all', async () => {
  const scenario = new Scenario(1, { world: { ...PLAIN_WORLD, quotaBytes: QUOTA_BYTES } })
  const leader = await scenario.settled()
  const put = PutRequest.encode({
    key: bytesFromLatin1('k'),
    value: bytesFromLatin1(''.padEnd(VALUE_BYTES, 'v')),
  })
  for (let count = 0; count < WRITES; count++)
    expect(await scenario.propose(leader, 'put', put)).toMatchObject({ kind: 'applied' })
  const revision = leader.member?.currentRevision
  if (revision === undefined) throw new Error('the leader is up')
  await scenario.propose(leader, 'compaction', CompactionRequest.encode({ revision }))
  const { nodes } = scenario.cluster
  await scenario.until('the compaction is carried out', () =>
    nodes.every(({ member }) => member?.store.finishedCompactRevision === revision),
  )
  await scenario.settled()
  const [full] = nodes.filter((node) => node !== leader)
  let left = nodes.length - 1
  for (const node of nodes) if (node !== full) node.member?.defragment(() => left--)
  await scenario.until('all but one are defragmented', () => left === 0)
  expect(nodes.map(({ member }) => member?.hasRoomFor(VALUE_BYTES))).toEqual(
    nodes.map((node) => node !== full),
  )
  expect(await scenario.propose(leader, 'put', put)).toMatchObject({ kind: 'applied' })
  await scenario.until('all know the alarm', () =>
    nodes.every(({ member }) => member?.state.alarms.isActive('NOSPACE') === true),
  )
  expect(
    leader.member?.state.alarms.list(0n as never, 'NONE').map(({ memberId }) => memberId),
  ).toEqual([full?.memberId])
  expect(await scenario.propose(leader, 'put', put)).toEqual({ kind: 'failed', code: 'NO_SPACE' })
})
