import { revision } from '../base/ids.js'
import type { AutoCompaction } from '../config/server-config.js'
import type { Member } from '../member/member.js'
import type { Log } from '../ports/log.js'
import { CompactionRequest } from '../wire/rpc.js'

const HOUR_MS = 3_600_000
/** Samples of the revision kept per compaction interval (facts: ops.md 4). */
const SAMPLES_PER_INTERVAL = 10
const REVISION_INTERVAL_MS = 300_000

/**
 * Compacts without being asked, on the leader only: by age, or by number of revisions (facts:
 * ops.md 4).
 */
export class AutoCompactor {
  readonly #member: Member
  readonly #rule: Exclude<AutoCompaction, { kind: 'off' }>
  readonly #log: Log
  readonly #timer: NodeJS.Timeout
  /** Revisions at the last ticks, oldest first. */
  #samples: number[] = []
  #lastCompacted = 0
  #nextAtTick = 0
  #ticks = 0

  constructor(member: Member, rule: Exclude<AutoCompaction, { kind: 'off' }>, log: Log) {
    this.#member = member
    this.#rule = rule
    this.#log = log
    this.#timer = setInterval(() => this.#tick(), this.#tickMs)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  get #tickMs(): number {
    if (this.#rule.kind === 'revision') return REVISION_INTERVAL_MS
    return Math.min(this.#rule.retentionMs, HOUR_MS) / SAMPLES_PER_INTERVAL
  }

  #tick(): void {
    if (this.#rule.kind === 'revision') {
      this.#compact(this.#member.currentRevision - this.#rule.retentionRevisions, 'revision')
      return
    }
    const ticksPerRetention = Math.ceil(this.#rule.retentionMs / this.#tickMs)
    this.#samples.push(this.#member.currentRevision)
    if (this.#samples.length > ticksPerRetention)
      this.#samples = this.#samples.slice(-ticksPerRetention)
    this.#ticks++
    if (this.#samples.length < ticksPerRetention || this.#ticks < this.#nextAtTick) return
    this.#nextAtTick = this.#ticks + SAMPLES_PER_INTERVAL
    this.#compact(this.#samples[0] ?? 0, 'periodic')
  }

  #compact(at: number, mode: 'periodic' | 'revision'): void {
    if (!this.#member.isLeader || at <= 0 || at === this.#lastCompacted) return
    const fields = { revision: at }
    this.#log.info(`starting auto ${mode} compaction`, fields)
    const encoded = CompactionRequest.encode({ revision: revision(at) })
    this.#member.propose('compaction', encoded, (outcome) => {
      if (outcome.kind === 'applied' || outcome.code === 'COMPACTED') {
        this.#lastCompacted = at
        this.#log.info(`completed auto ${mode} compaction`, fields)
      } else {
        this.#nextAtTick = 0
        this.#log.warn(`failed auto ${mode} compaction`, { ...fields, error: outcome.code })
      }
    })
  }
}
