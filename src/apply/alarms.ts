import { type MemberId, memberId } from '../base/ids.js'
import { AlarmMember, type AlarmRequest } from '../wire/rpc.js'

/** The kinds that can be active. */
export type AlarmKind = 'NOSPACE' | 'CORRUPT'

/**
 * Where active alarms are kept: bucket `alarm`, the encoded AlarmMember as key, nothing as value.
 */
export interface AlarmRows {
  putAlarm(key: Uint8Array): void
  deleteAlarm(key: Uint8Array): void
}

export interface Alarm {
  readonly memberId: MemberId
  readonly kind: AlarmKind
}

const nameOf = (alarm: Alarm): string => `${alarm.kind} ${alarm.memberId}`
const encode = (alarm: Alarm): Uint8Array =>
  AlarmMember.encode({ memberID: alarm.memberId, alarm: alarm.kind })

/** The alarms of the cluster: replicated, the same on every member (facts: v3-api.md 6). */
export class Alarms {
  readonly #rows: AlarmRows
  readonly #active = new Map<string, Alarm>()

  constructor(rows: AlarmRows) {
    this.#rows = rows
  }

  /**
   * Takes over what the bucket holds, in place of what was known. Keys that are no alarm are left
   * out.
   */
  restore(keys: Iterable<Uint8Array>): void {
    this.#active.clear()
    for (const key of keys) {
      const { memberID, alarm } = AlarmMember.decode(key)
      if (alarm !== 'NOSPACE' && alarm !== 'CORRUPT') continue
      const restored = { memberId: memberId(memberID), kind: alarm } as const
      this.#active.set(nameOf(restored), restored)
    }
  }

  isActive(kind: AlarmKind): boolean {
    for (const alarm of this.#active.values()) if (alarm.kind === kind) return true
    return false
  }

  /** Active alarms of one member (0n = all) and one kind (NONE = all), by member id. */
  list(member: MemberId, kind: AlarmRequest['alarm']): readonly Alarm[] {
    return [...this.#active.values()]
      .filter((alarm) => member === 0n || alarm.memberId === member)
      .filter((alarm) => kind === 'NONE' || alarm.kind === kind)
      .sort((a, b) => (a.memberId < b.memberId ? -1 : a.memberId > b.memberId ? 1 : 0))
  }

  activate(alarm: Alarm): void {
    if (this.#active.has(nameOf(alarm))) return
    this.#active.set(nameOf(alarm), alarm)
    this.#rows.putAlarm(encode(alarm))
  }

  /** Whether there was such an alarm. */
  deactivate(alarm: Alarm): boolean {
    if (!this.#active.delete(nameOf(alarm))) return false
    this.#rows.deleteAlarm(encode(alarm))
    return true
  }
}
