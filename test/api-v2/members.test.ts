// Goal: members, machines and statistics, with a cluster that changes. Method: inject over a list
// of members.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { AppendRate, FollowerStatistics } from '../../src/api-v2/statistics.js'
import type { MemberId } from '../../src/base/ids.js'
import { createLocalServer, type LocalServer } from './local-server.js'

let server: LocalServer
beforeEach(async () => {
  server = await createLocalServer()
})
afterEach(() => server.app.close())

const JSON_TYPE = { 'content-type': 'application/json' }
const add = (url: string) =>
  server.app.inject({
    method: 'POST',
    url: '/v2/members',
    headers: JSON_TYPE,
    payload: JSON.stringify({ peerURLs: [url] }),
  })
const get = (url: string) => server.app.inject({ method: 'GET', url })

describe('members', () => {
  test('a member is added, listed by id, moved and removed for good', async () => {
    const added = await add('http://127.0.0.1:7001')
    expect(added.statusCode).toBe(201)
    const { id, ...rest } = added.json()
    expect(rest).toEqual({ name: '', peerURLs: ['http://127.0.0.1:7001'], clientURLs: [] })
    expect((await get('/v2/members')).json().members).toHaveLength(2)

    const moved = await server.app.inject({
      method: 'PUT',
      url: `/v2/members/${id}`,
      headers: JSON_TYPE,
      payload: '{"peerURLs":["http://127.0.0.1:7002"]}',
    })
    expect([moved.statusCode, moved.body]).toEqual([204, ''])
    const taken = await server.app.inject({
      method: 'PUT',
      url: `/v2/members/${id}`,
      headers: JSON_TYPE,
      payload: '{"peerURLs":["http://127.0.0.1:2380"]}',
    })
    expect([taken.statusCode, taken.body]).toEqual([
      409,
      '{"message":"membership: peerURL exists"}',
    ])

    const url = `/v2/members/${id}`
    expect((await server.app.inject({ method: 'DELETE', url })).statusCode).toBe(204)
    const again = await server.app.inject({ method: 'DELETE', url })
    expect([again.statusCode, again.json().message]).toEqual([
      410,
      `Member permanently removed: ${id}`,
    ])
  })

  test('the same id twice is a conflict, other refusals are internal errors', async () => {
    await add('http://127.0.0.1:7001')
    const twice = await add('http://127.0.0.1:7001')
    expect([twice.statusCode, twice.json().message]).toEqual([409, 'membership: ID exists'])
    server.source.membershipFailure = 'etcdserver: unhealthy cluster'
    const refused = await add('http://127.0.0.1:7003')
    expect([refused.statusCode, refused.body]).toEqual([500, '{"message":"Internal Server Error"}'])
  })

  test('without a leader there is an election', async () => {
    server.source.leader = 0n as MemberId
    const answer = await get('/v2/members/leader')
    expect([answer.statusCode, answer.body]).toEqual([503, '{"message":"During election"}'])
    expect((await get('/v2/stats/leader')).body).toBe('{"message":"not current leader"}')
  })

  test('machines lists all client URLs in order', async () => {
    const [self] = server.source.list
    if (self === undefined) throw new Error('there is a member')
    server.source.list = [
      { ...self, clientUrls: ['http://b:1', 'http://a:2'] },
      { ...self, clientUrls: ['http://a:1'] },
    ]
    expect((await get('/v2/machines')).body).toBe('http://a:1, http://a:2, http://b:1')
  })
})

describe('statistics', () => {
  test('self tells rates while there is traffic', async () => {
    const rate = new AppendRate()
    for (let at = 0; at < 300; at++) rate.add(100, at * 10)
    expect(rate.count).toBe(300)
    const rates = rate.rates(3000)
    expect(rates.packages).toBeCloseTo(200 / 1.99)
    expect(rates.bytes).toBeCloseTo(20_000 / 1.99)
    const none = { packages: 0, bytes: 0 }
    server.source.figures = { received: 300, receivedRates: rates, sent: 0, sentRates: none }
    const body = (await get('/v2/stats/self')).json()
    expect(body).toMatchObject({ recvAppendRequestCnt: 300, recvPkgRate: rates.packages })
    expect(body).not.toHaveProperty('sendPkgRate')
    expect(rate.rates(4000)).toEqual(none)
    expect(rate.rates(4000)).toEqual(none)
    expect(rate.count).toBe(300)
  })

  test('a follower says who leads', async () => {
    server.source.leader = 0xabcn as MemberId
    expect((await get('/v2/stats/self')).json()).toMatchObject({
      state: 'StateFollower',
      leaderInfo: { leader: 'abc' },
    })
  })

  test('leader tells each follower, an unheard one with the largest minimum', async () => {
    const figures = new FollowerStatistics()
    const empty = new FollowerStatistics()
    for (const ms of [1, 3]) figures.succeeded(ms)
    figures.failed()
    server.source.followerFigures.set('b', empty).set('a', figures)
    const { body } = await get('/v2/stats/leader')
    expect(body).toContain('"minimum":9223372036854775808,"maximum":0},"counts":{"fail":0')
    expect(Object.keys(JSON.parse(body).followers)).toEqual(['a', 'b'])
    expect(JSON.parse(body).followers.a).toEqual({
      latency: { current: 3, average: 2, standardDeviation: 1, minimum: 1, maximum: 3 },
      counts: { fail: 1, success: 2 },
    })
  })
})
