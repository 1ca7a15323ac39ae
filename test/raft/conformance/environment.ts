import { logIndex, type MemberId, memberId, nextIndex, term } from '../../../src/base/ids.js'
import { asConfChangeV2, decodeConfChange } from '../../../src/raft/confchange/conf-change.js'
import {
  describeEntry,
  describeMessage,
  describeProgressStatus,
  describeReady,
  describeRole,
} from '../../../src/raft/describe.js'
import { MemoryStorage } from '../../../src/raft/memory-storage.js'
import {
  createMessage,
  hardStateOf,
  isEmptySnapshot,
  isLocalThread,
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  type RaftMessage,
} from '../../../src/raft/message.js'
import { outcomeText } from '../../../src/raft/outcome.js'
import { type RaftConfig, RawNode } from '../../../src/raft/raw-node.js'
import type { ConfChange, ConfChangeV2, Entry, Snapshot } from '../../../src/wire/raftpb.js'
import { isSet, membersOf, numberOf, textOf, valuesOf, wordsOf } from './arguments.js'
import { parseChanges } from './confchange-driver.js'
import { type Command, parseCommandLine } from './datadriven.js'
import { Output } from './output.js'

const ELECTION_TICKS = 3
const HEARTBEAT_TICKS = 1
const utf8 = new TextEncoder()

/** Answers with the newest applied state, whatever the log was bootstrapped with. */
class SnapshottingStorage extends MemoryStorage {
  newest: Snapshot | undefined
  override snapshot(): Snapshot {
    const stored = super.snapshot()
    if (stored === 'snapshot-temporarily-unavailable') throw new Error(stored)
    return this.newest ?? stored
  }
}

interface Node {
  readonly id: MemberId
  readonly storage: SnapshottingStorage
  readonly config: RaftConfig
  core: RawNode
  appendWork: RaftMessage[]
  applyWork: RaftMessage[]
}

interface Recipient {
  readonly id: MemberId
  readonly drop: boolean
}

/** Whole nodes, the messages between them, and the commands of the transcripts. */
export class InteractionEnvironment {
  readonly #output = new Output()
  readonly #nodes: Node[] = []
  #messages: RaftMessage[] = []

  /**
   * Runs one command; returns what it prints, `ok` when nothing. Input lines are further commands, except
   * for a proposed configuration change, where they are the change.
   */
  run(command: Command): string {
    let text = this.#runOne(command)
    if (command.name !== 'propose-conf-change' && command.input !== '') {
      for (const line of command.input.split('\n')) {
        text += this.#runOne({
          ...parseCommandLine(line),
          input: '',
          expected: '',
          line: command.line,
        })
      }
    }
    return text === '' ? 'ok' : text
  }

  #runOne(command: Command): string {
    const error = this.#handle(command)
    return this.#output.take() + (error ?? '')
  }

  #handle(command: Command): string | undefined {
    const [first = 0, second = 0] = membersOf(command)
    switch (command.name) {
      case 'log-level':
        this.#output.setLevel(wordsOf(command)[0] ?? '')
        return undefined
      case 'add-nodes':
        this.#addNodes(command)
        return undefined
      case 'campaign':
        this.#node(first).core.campaign()
        return undefined
      case 'propose':
        return failure(this.#node(first).core.propose([utf8.encode(wordsOf(command)[1] ?? '')]))
      case 'propose-conf-change':
        return this.#proposeConfChange(command)
      case 'process-ready':
        this.#forEach(command, 'handling Ready', (node) => this.#processReady(node))
        return undefined
      case 'process-append-thread':
        this.#forEach(command, 'processing append thread', (node) => this.#processAppend(node))
        return undefined
      case 'process-apply-thread':
        this.#forEach(command, 'processing apply thread', (node) => this.#processApply(node))
        return undefined
      case 'deliver-msgs':
        this.#deliverCommand(command)
        return undefined
      case 'stabilize':
        this.#stabilizeCommand(command)
        return undefined
      case 'tick-election':
        for (let i = 0; i < ELECTION_TICKS; i++) this.#node(first).core.tick()
        return undefined
      case 'tick-heartbeat':
        for (let i = 0; i < HEARTBEAT_TICKS; i++) this.#node(first).core.tick()
        return undefined
      case 'tick':
        for (let i = 0; i < second; i++) this.#node(first).core.tick()
        return undefined
      case 'set-randomized-election-timeout':
        this.#node(first).core.setRandomizedElectionTimeoutTicks(numberOf(command, 'timeout') ?? 0)
        return undefined
      case 'transfer-leadership': {
        const from = numberOf(command, 'from') ?? 0
        this.#node(from).core.transferLeader(memberId(BigInt(numberOf(command, 'to') ?? 0)))
        return undefined
      }
      case 'forget-leader':
        this.#node(first).core.forgetLeader()
        return undefined
      case 'report-unreachable':
        this.#node(first).core.reportUnreachable(memberId(BigInt(second)))
        return undefined
      case 'report-snapshot': {
        const outcome = textOf(command, 'outcome') === 'failure' ? 'failure' : 'finish'
        this.#node(first).core.reportSnapshot(memberId(BigInt(second)), outcome)
        return undefined
      }
      case 'read-index':
        this.#node(first).core.readIndex(utf8.encode(wordsOf(command)[1] ?? ''))
        return undefined
      case 'restart':
        this.#restart(this.#node(first))
        return undefined
      case 'compact':
        this.#node(first).storage.compact(logIndex(second))
        this.#printLog(this.#node(first))
        return undefined
      case 'send-snapshot':
        this.#sendSnapshot(this.#node(first), this.#node(second))
        return undefined
      case 'raft-log':
        this.#printLog(this.#node(first))
        return undefined
      case 'raft-state':
        this.#printStates()
        return undefined
      case 'status':
        for (const [id, progress] of this.#node(first).core.status().progress) {
          this.#output.line(`${id}: ${describeProgressStatus(progress)}`)
        }
        return undefined
      default:
        throw new Error(`unknown command ${command.name}`)
    }
  }

  #node(number: number): Node {
    const node = this.#nodes[number - 1]
    if (node === undefined) throw new Error(`there is no node ${number}`)
    return node
  }

  #addNodes(command: Command): void {
    const ids = (key: string): MemberId[] =>
      (valuesOf(command, key) ?? []).map((value) => memberId(BigInt(value)))
    const index = numberOf(command, 'index') ?? 0
    const snapshot: Snapshot = {
      data: utf8.encode(textOf(command, 'content') ?? ''),
      metadata: {
        confState: {
          voters: ids('voters'),
          learners: ids('learners'),
          votersOutgoing: [],
          learnersNext: [],
          autoLeave: false,
        },
        index: logIndex(index),
        term: term(index === 0 ? 0 : 1),
      },
    }
    const count = membersOf(command)[0] ?? 0
    for (let i = 0; i < count; i++) {
      const storage = new SnapshottingStorage()
      if (index > 0) storage.applySnapshot(snapshot)
      storage.newest = index > 0 ? snapshot : undefined
      const id = memberId(BigInt(this.#nodes.length + 1))
      const config = this.#configure(command, id, storage)
      const core = new RawNode({ ...config, applied: logIndex(index) })
      this.#nodes.push({ id, storage, config, core, appendWork: [], applyWork: [] })
    }
  }

  #configure(command: Command, id: MemberId, storage: SnapshottingStorage): RaftConfig {
    const unlimited = Number.POSITIVE_INFINITY
    return {
      id,
      storage,
      electionTicks: ELECTION_TICKS,
      heartbeatTicks: HEARTBEAT_TICKS,
      randomBelow: () => 0,
      logger: this.#output,
      maxSizePerMessageBytes: numberOf(command, 'max-size-per-message') ?? unlimited,
      maxCommittedSizePerReadyBytes: numberOf(command, 'max-committed-size-per-ready') ?? unlimited,
      maxUncommittedEntriesBytes: numberOf(command, 'max-uncommitted-entries') ?? unlimited,
      maxInflightMessages: numberOf(command, 'inflight') ?? 2 ** 31 - 1,
      maxInflightBytes: numberOf(command, 'max-inflight-bytes') ?? unlimited,
      asyncStorageWrites: isSet(command, 'async-storage-writes'),
      checkQuorum: isSet(command, 'checkquorum'),
      preVote: isSet(command, 'prevote'),
      readOnlyOption: textOf(command, 'read-only') === 'lease-based' ? 'lease-based' : 'safe',
      stepDownOnRemoval: isSet(command, 'step-down-on-removal'),
      disableConfChangeValidation: isSet(command, 'disable-conf-change-validation'),
      disableProposalForwarding: isSet(command, 'disable-proposal-forwarding'),
    }
  }

  /** The node loses what it did not persist, and all that was addressed to it. */
  #restart(node: Node): void {
    this.#messages = this.#messages.filter((message) => message.to !== node.id)
    node.appendWork = []
    node.applyWork = []
    const applied = node.storage.newest?.metadata.index ?? logIndex(0)
    node.core = new RawNode({ ...node.config, applied })
  }

  #proposeConfChange(command: Command): string | undefined {
    const changes = parseChanges(command.input)
    const context = new Uint8Array(0)
    let change: ConfChange | ConfChangeV2
    const [only] = changes
    if (isSet(command, 'v1')) {
      if (only === undefined || changes.length !== 1) throw new Error('v1 takes one change')
      change = { id: 0n, type: only.type, nodeId: only.nodeId, context }
    } else {
      const names = {
        auto: 'ConfChangeTransitionAuto',
        implicit: 'ConfChangeTransitionJointImplicit',
        explicit: 'ConfChangeTransitionJointExplicit',
      } as const
      const name = (textOf(command, 'transition') ?? 'auto') as keyof typeof names
      change = { transition: names[name], changes, context }
    }
    return failure(this.#node(membersOf(command)[0] ?? 0).core.proposeConfChange(change))
  }

  #forEach(command: Command, what: string, action: (node: Node) => void): void {
    const numbers = membersOf(command)
    for (const number of numbers) {
      const node = this.#node(number)
      if (numbers.length === 1) {
        action(node)
        continue
      }
      this.#output.line(`> ${number} ${what}`)
      this.#output.indented(() => action(node))
    }
  }

  #processReady(node: Node): void {
    const ready = node.core.ready()
    this.#output.line(describeReady(ready))
    if (node.config.asyncStorageWrites === true) {
      for (const message of ready.messages) {
        if (message.to === LOCAL_APPEND_THREAD) node.appendWork.push(message)
        else if (message.to === LOCAL_APPLY_THREAD) node.applyWork.push(message)
        else this.#messages.push(message)
      }
      return
    }
    if (ready.hardState !== undefined) node.storage.setHardState(ready.hardState)
    node.storage.append(ready.entries)
    this.#install(node, ready.snapshot)
    this.#apply(node, ready.committedEntries)
    this.#messages.push(...ready.messages)
    node.core.advance()
  }

  #processAppend(node: Node): void {
    const work = node.appendWork.shift()
    if (work === undefined) {
      this.#output.line('no append work to perform')
      return
    }
    this.#output.line(`Processing:\n${describeMessage({ ...work, responses: undefined })}`)
    const hardState = hardStateOf(work)
    if (hardState !== undefined) node.storage.setHardState(hardState)
    node.storage.append(work.entries)
    this.#install(node, work.snapshot)
    this.#respond(work)
  }

  #processApply(node: Node): void {
    const work = node.applyWork.shift()
    if (work === undefined) {
      this.#output.line('no apply work to perform')
      return
    }
    this.#output.line(`Processing:\n${describeMessage({ ...work, responses: undefined })}`)
    this.#apply(node, work.entries)
    this.#respond(work)
  }

  #respond(work: RaftMessage): void {
    this.#output.line('Responses:')
    for (const response of work.responses ?? []) {
      this.#output.line(describeMessage(response))
      this.#messages.push(response)
    }
  }

  #install(node: Node, snapshot: Snapshot | undefined): void {
    if (snapshot === undefined || isEmptySnapshot(snapshot)) return
    node.storage.applySnapshot(snapshot)
    node.storage.newest = snapshot
  }

  /** The state machine: appends each payload to its state. */
  #apply(node: Node, entries: readonly Entry[]): void {
    for (const entry of entries) {
      const change = decodeConfChange(entry)
      const confState =
        change === undefined
          ? node.storage.snapshot().metadata.confState
          : node.core.applyConfChange(change)
      const added = change === undefined ? entry.data : asConfChangeV2(change).context
      const { index } = entry
      const data = Uint8Array.from([...node.storage.snapshot().data, ...added])
      node.storage.newest = { data, metadata: { confState, index, term: entry.term } }
    }
  }

  #split(recipient: Recipient, type?: string): RaftMessage[] {
    const taken: RaftMessage[] = []
    const left: RaftMessage[] = []
    for (const message of this.#messages) {
      const isLocal =
        message.from === message.to || isLocalThread(message.from) || isLocalThread(message.to)
      const fits =
        message.to === recipient.id &&
        !(recipient.drop && isLocal) &&
        (type === undefined || message.type === type)
      if (fits) taken.push(message)
      else left.push(message)
    }
    if (taken.length > 0) this.#messages = left
    return taken
  }

  #deliverCommand(command: Command): void {
    const type = textOf(command, 'type')
    let count = 0
    for (const { key, values } of command.args) {
      if (key === 'type') continue
      const drop = key === 'drop'
      for (const number of drop ? values : [key]) {
        count += this.#deliver({ id: memberId(BigInt(number)), drop }, type)
      }
    }
    if (count === 0) this.#output.line('no messages')
  }

  #deliver(recipient: Recipient, type?: string): number {
    const messages = this.#split(recipient, type)
    for (const message of messages) {
      this.#output.line(`${recipient.drop ? 'dropped: ' : ''}${describeMessage(message)}`)
      if (recipient.drop) continue
      const error = failure(this.#node(Number(message.to)).core.step(message))
      if (error !== undefined) this.#output.line(error)
    }
    return messages.length
  }

  #stabilizeCommand(command: Command): void {
    const level = this.#output.level
    const wanted = textOf(command, 'log-level')
    if (wanted !== undefined) this.#output.setLevel(wanted)
    const numbers = membersOf(command)
    const nodes = numbers.length === 0 ? this.#nodes : numbers.map((n) => this.#node(n))
    while (this.#stabilizeOnce(nodes));
    this.#output.level = level
  }

  #stabilizeOnce(nodes: readonly Node[]): boolean {
    let isBusy = false
    const round = (node: Node, what: string, action: () => void): void => {
      isBusy = true
      this.#output.line(`> ${node.id} ${what}`)
      this.#output.indented(action)
    }
    for (const node of nodes) {
      if (node.core.hasReady()) round(node, 'handling Ready', () => this.#processReady(node))
    }
    for (const node of nodes) {
      if (!this.#messages.some(({ to }) => to === node.id)) continue
      round(node, 'receiving messages', () => this.#deliver({ id: node.id, drop: false }))
    }
    for (const node of nodes) {
      if (node.appendWork.length === 0) continue
      round(node, 'processing append thread', () => {
        while (node.appendWork.length > 0) this.#processAppend(node)
      })
    }
    for (const node of nodes) {
      if (node.applyWork.length === 0) continue
      round(node, 'processing apply thread', () => {
        while (node.applyWork.length > 0) this.#processApply(node)
      })
    }
    return isBusy
  }

  #sendSnapshot(from: Node, to: Node): void {
    const message = createMessage({
      type: 'MsgSnap',
      from: from.id,
      to: to.id,
      term: from.core.basicStatus().hardState.term,
      snapshot: from.storage.snapshot(),
    })
    this.#messages.push(message)
    this.#output.line(describeMessage(message))
  }

  #printLog({ storage }: Node): void {
    const first = storage.firstIndex()
    const last = storage.lastIndex()
    if (last < first) {
      this.#output.line(`log is empty: first index=${first}, last index=${last}`)
      return
    }
    const entries = storage.entries(first, nextIndex(last), Number.POSITIVE_INFINITY)
    if (typeof entries === 'string') throw new Error(entries)
    for (const entry of entries) this.#output.line(describeEntry(entry))
  }

  #printStates(): void {
    for (const { core } of this.#nodes) {
      const { id, config, hardState, softState } = core.status()
      const isVoter = config.voters.includes(id) || config.votersOutgoing.includes(id)
      this.#output.line(
        `${id}: ${describeRole(softState.role)} (${isVoter ? 'Voter' : 'Non-Voter'}) ` +
          `Term:${hardState.term} Lead:${softState.lead}`,
      )
    }
  }
}

function failure(result: ReturnType<RawNode['step']>): string | undefined {
  return result === 'ok' ? undefined : outcomeText(result)
}
