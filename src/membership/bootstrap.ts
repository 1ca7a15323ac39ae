/**
 * The first entries of a new cluster's log, and what a joining member checks (facts:
 * peer-protocol.md 9).
 */
import { idToHex, logIndex, term } from '../base/ids.js'
import { ConfChange, type Entry } from '../wire/raftpb.js'
import { encodeMember, type Member, sortMembers } from './member.js'

/**
 * The entries that every member of a static start makes for itself: one ConfChange for each member
 * by ascending id, indexes 1 to N, term 1, all committed. Members that start later make the same.
 */
export function bootstrapEntries(members: readonly Member[]): readonly Entry[] {
  return sortMembers(members).map((member, at) => ({
    type: 'EntryConfChange',
    term: term(1),
    index: logIndex(at + 1),
    data: ConfChange.encode({
      id: 0n,
      type: 'ConfChangeAddNode',
      nodeId: member.id,
      context: new TextEncoder().encode(encodeMember(member)),
    }),
  }))
}

/** How two lists of peer URLs compare once their names are resolved. */
export type UrlComparison =
  | { readonly isEqual: true }
  /** `error` as etcd's text shows it; `<nil>` when the lists simply differ. */
  | { readonly isEqual: false; readonly error: string }

export type AssignedMembers =
  /** The local members under the ids that the running cluster gave them. */
  | { readonly kind: 'assigned'; readonly members: readonly Member[] }
  | { readonly kind: 'refused'; readonly reason: string }

/** Compares URL lists as texts, in any order. */
export function compareUrlTexts(a: readonly string[], b: readonly string[]): UrlComparison {
  const [left, right] = [[...a].sort(), [...b].sort()]
  const isEqual = left.length === right.length && left.every((url, at) => url === right[at])
  return isEqual ? { isEqual } : { isEqual, error: '<nil>' }
}

/**
 * Matches the members of `--initial-cluster` with those of the running cluster by their peer URLs.
 * `compare` knows what the host names in them resolve to.
 */
export function validateClusterAndAssignIds(
  local: readonly Member[],
  existing: readonly Member[],
  compare: (existing: readonly string[], local: readonly string[]) => UrlComparison,
): AssignedMembers {
  if (local.length !== existing.length) {
    return { kind: 'refused', reason: 'member count is unequal' }
  }
  const assigned = [...sortMembers(local)]
  for (const member of sortMembers(existing)) {
    let lastError = '<nil>'
    const at = assigned.findIndex((candidate) => {
      const comparison = compare(member.peerUrls, candidate.peerUrls)
      if (!comparison.isEqual) lastError = comparison.error
      return comparison.isEqual
    })
    const found = assigned[at]
    if (found === undefined) {
      const shown = `(${idToHex(member.id)}, [${member.peerUrls.join(' ')}])`
      const error = `last resolver error (${lastError})`
      const reason = `PeerURLs: no match found for existing member ${shown}, ${error}`
      return { kind: 'refused', reason }
    }
    assigned[at] = { ...found, id: member.id }
  }
  return { kind: 'assigned', members: sortMembers(assigned) }
}

/** Whom to ask about the running cluster: the peer URLs of all but `localName`, sorted. */
export const remotePeerUrls = (members: readonly Member[], localName: string): readonly string[] =>
  members
    .filter((member) => member.name !== localName)
    .flatMap((member) => member.peerUrls)
    .sort()
