// Goal: the strict checks. Method: clusters of a few members, counted by hand from etcd's rules.
import { describe, expect, test } from 'vitest'
import { memberId } from '../../src/base/ids.js'
import type { Member } from '../../src/membership/member.js'
import {
  checkAdd,
  checkPromote,
  checkRemove,
  isLearnerCaughtUp,
  isReadyToAddVotingMember,
  isReadyToPromoteMember,
  isReadyToRemoveVotingMember,
  quorumOf,
  startedVoterCount,
} from '../../src/membership/reconfiguration.js'

/** `S` = started voter, `u` = unstarted voter, `L` = learner; ids from 1. */
const cluster = (shape: string): readonly Member[] =>
  [...shape].map((kind, at) => ({
    id: memberId(BigInt(at + 1)),
    peerUrls: [],
    isLearner: kind === 'L',
    name: kind === 'u' ? '' : `n${at + 1}`,
    clientUrls: [],
  }))
const id = (place: number) => memberId(BigInt(place))

test('quorums', () => {
  expect([0, 1, 2, 3, 4, 5].map(quorumOf)).toEqual([1, 1, 2, 2, 3, 3])
  expect(startedVoterCount(cluster('SuLS'))).toBe(2)
})

test.each([
  ['', false],
  ['S', true],
  ['u', false],
  ['SL', true],
  ['Su', false],
  ['SS', true],
  ['SSu', false],
  ['SSS', true],
])('in %s a voter may be added: %s', (shape, expected) => {
  expect(isReadyToAddVotingMember(cluster(shape))).toBe(expected)
})

test.each([
  ['S', 1, false],
  ['SS', 1, true],
  ['Su', 1, false],
  ['Su', 2, true],
  ['SSu', 1, false],
  ['SSu', 3, true],
  ['SSL', 1, true],
])('of %s voter %d may be removed: %s', (shape, place, expected) => {
  expect(isReadyToRemoveVotingMember(cluster(shape), id(place))).toBe(expected)
})

test.each([
  ['SL', true],
  ['SuL', true],
  ['uuL', false],
  ['SuuL', false],
])('in %s the learner may be promoted: %s', (shape, expected) => {
  expect(isReadyToPromoteMember(cluster(shape))).toBe(expected)
})

describe('with connections', () => {
  const connections = (since: Readonly<Record<number, number>>) => ({
    localId: id(1),
    nowMs: 10_000,
    activeSinceMs: (asked: bigint) => since[Number(asked)],
  })
  const voter = { isLearner: false }

  test('adding needs every voter connected for longer than 5 s', () => {
    const members = cluster('SSS')
    expect(checkAdd(members, voter, connections({ 2: 0, 3: 0 }))).toBeUndefined()
    expect(checkAdd(members, voter, connections({ 2: 0, 3: 5000 }))).toBe('UNHEALTHY_CLUSTER')
    expect(checkAdd(members, { isLearner: true }, connections({ 2: 0 }))).toBe('UNHEALTHY_CLUSTER')
    expect(checkAdd(cluster('Su'), voter, connections({}))).toBe('NOT_ENOUGH_STARTED_MEMBERS')
    expect(checkAdd(cluster('SL'), { isLearner: true }, connections({}))).toBeUndefined()
  })

  test('removing needs a healthy quorum to stay, unless who goes is down or a learner', () => {
    const members = cluster('SSS')
    expect(checkRemove(members, id(2), connections({ 2: 0, 3: 0 }))).toBeUndefined()
    expect(checkRemove(members, id(2), connections({ 2: 0 }))).toBe('UNHEALTHY_CLUSTER')
    expect(checkRemove(members, id(3), connections({ 2: 0 }))).toBeUndefined()
    expect(checkRemove(members, id(1), connections({ 2: 0 }))).toBe('UNHEALTHY_CLUSTER')
    expect(checkRemove(cluster('S'), id(1), connections({}))).toBe('NOT_ENOUGH_STARTED_MEMBERS')
    expect(checkRemove(cluster('SL'), id(2), connections({}))).toBeUndefined()
  })
})

test('promoting needs nine tenths of the log', () => {
  expect([isLearnerCaughtUp(89, 100), isLearnerCaughtUp(90, 100)]).toEqual([false, true])
  const near = { learnerMatch: 95, leaderMatch: 100 }
  expect(checkPromote(cluster('SL'), near)).toBeUndefined()
  expect(checkPromote(cluster('SL'), { ...near, learnerMatch: 5 })).toBe('LEARNER_NOT_READY')
  expect(checkPromote(cluster('uuL'), near)).toBe('NOT_ENOUGH_STARTED_MEMBERS')
})
