import { revision } from '../../src/base/ids.js'
import { bytesFromLatin1 } from '../../src/base/latin1.js'
import type { Member } from '../../src/member/member.js'
import { evaluateRange } from '../../src/mvcc/range-request.js'
import { RangeRequest, RangeResponse } from '../../src/wire/rpc.js'
import { describeKeyValue, plainKeyValue } from './describe-response.js'

/** All keys of the workload lie in this range. */
export const WORK_FROM = 'k'
export const WORK_TO = 'l'

/** All that a member has of the workload's keys as of a revision, in words; or why it cannot say. */
export function readAt(member: Member, at: number): string {
  try {
    return read(member, at)
  } catch (error) {
    return String(error)
  }
}

function read(member: Member, at: number): string {
  const request = RangeRequest.create({
    key: bytesFromLatin1(WORK_FROM),
    rangeEnd: bytesFromLatin1(WORK_TO),
    revision: revision(at),
  })
  const found = evaluateRange(request, (query) => member.store.range(query))
  if (found.kind === 'failed') return found.code
  const { kvs } = RangeResponse.decode(RangeResponse.encode(found.reply))
  return kvs.map((kv) => describeKeyValue(plainKeyValue(kv))).join(' ')
}
