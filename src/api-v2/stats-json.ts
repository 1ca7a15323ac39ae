/** The bodies of /v2/stats/self and /v2/stats/leader (facts: http.md 4). */
import { quoteGo } from '../base/go-json.js'
import { idToHex } from '../base/ids.js'
import type { V2Source } from './source.js'
import { formatGoDuration, formatLocalTime } from './statistics.js'

const rateFields = (
  direction: 'recv' | 'send',
  count: number,
  rates: { readonly packages: number; readonly bytes: number },
): string =>
  `"${direction}AppendRequestCnt":${count}` +
  (rates.packages === 0 ? '' : `,"${direction}PkgRate":${rates.packages}`) +
  (rates.bytes === 0 ? '' : `,"${direction}BandwidthRate":${rates.bytes}`)

/** What this member says of itself. */
export function selfStatsJson(source: V2Source): string {
  const leader = idToHex(source.leaderId())
  const role = leader === source.idText ? 'StateLeader' : 'StateFollower'
  const sinceMs = source.leaderSinceMs()
  const traffic = source.traffic()
  const leaderInfo = [
    `"leader":"${leader === '0' ? '' : leader}"`,
    `"uptime":"${formatGoDuration(source.nowMs() - sinceMs)}"`,
    `"startTime":"${formatLocalTime(sinceMs)}"`,
  ]
  const fields = [
    `"name":${quoteGo(source.name)}`,
    `"id":"${source.idText}"`,
    `"state":"${role}"`,
    `"startTime":"${formatLocalTime(source.startedMs)}"`,
    `"leaderInfo":{${leaderInfo.join(',')}}`,
    rateFields('recv', traffic.received, traffic.receivedRates),
    rateFields('send', traffic.sent, traffic.sentRates),
  ]
  return `{${fields.join(',')}}`
}

/** What the leader knows of its followers; `undefined` when this member does not lead. */
export function leaderStatsJson(source: V2Source): string | undefined {
  if (idToHex(source.leaderId()) !== source.idText) return undefined
  const followers = [...source.followers()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([id, figures]) => `"${id}":${figures.encode()}`)
  return `{"leader":"${source.idText}","followers":{${followers.join(',')}}}`
}
