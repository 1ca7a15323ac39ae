import type { ConfState } from '../wire/raftpb.js'

const list = (ids: readonly bigint[]): string => `[${ids.join(',')}]`

/** Raft's configuration as bucket `meta` holds it: JSON with decimal ids (facts: disk.md 5). */
export function encodeConfState(state: ConfState): Uint8Array {
  const fields = [
    `"voters":${list(state.voters)}`,
    ...(state.learners.length > 0 ? [`"learners":${list(state.learners)}`] : []),
    ...(state.votersOutgoing.length > 0 ? [`"voters_outgoing":${list(state.votersOutgoing)}`] : []),
    ...(state.learnersNext.length > 0 ? [`"learners_next":${list(state.learnersNext)}`] : []),
    `"auto_leave":${state.autoLeave}`,
  ]
  return new TextEncoder().encode(`{${fields.join(',')}}`)
}
