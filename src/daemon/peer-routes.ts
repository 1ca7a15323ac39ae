import type { IncomingMessage, ServerResponse } from 'node:http'
import { errors } from '../base/errors.js'
import { failpoint } from '../base/failpoints.js'
import { idToHex, leaseId, memberId } from '../base/ids.js'
import { bytesFromLatin1 } from '../base/latin1.js'
import type { Member } from '../member/member.js'
import { encodeMembers } from '../membership/member.js'
import { versionJson } from '../ops/routes.js'
import { LeaseInternalRequest, LeaseInternalResponse } from '../peer/leader-calls.js'
import { LeaseKeepAliveRequest, LeaseKeepAliveResponse, ResponseHeader } from '../wire/rpc.js'

/** Largest body that any of these paths takes; a lease or a revision is far smaller. */
const BODY_BYTES_MAX = 64 * 1024
/** How long a renewal may wait for this member to have applied what the caller saw, ms. */
const APPLY_WAIT_MS = 1000

interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string | Uint8Array
  /** The methods that work, when this one does not. */
  readonly allow?: string
  /** Names the cluster in a header, as what is told about it does. */
  readonly isOfCluster?: boolean
}
const TEXT = 'text/plain; charset=utf-8'
const JSON_TYPE = 'application/json'
const text = (status: number, body: string): Answer => ({ status, type: TEXT, body: `${body}\n` })

const PROMOTE = '/members/promote/'
const GET_ONLY: Answer = { ...text(405, 'Method Not Allowed'), allow: 'GET' }

/** The paths of the peer port beside `/raft` (facts: http.md 9). */
export class PeerRoutes {
  readonly #member: Member
  readonly #versions: Parameters<typeof versionJson>[0]

  constructor(member: Member, versions: Parameters<typeof versionJson>[0]) {
    this.#member = member
    this.#versions = versions
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    void this.#answer(request).then((answer) => {
      response.writeHead(answer.status, {
        'Content-Type': answer.type,
        'Content-Length': Buffer.byteLength(answer.body),
        ...(answer.allow === undefined ? {} : { Allow: answer.allow }),
        ...(answer.isOfCluster === true
          ? { 'X-Etcd-Cluster-Id': idToHex(this.#member.clusterId) }
          : {}),
        ...(answer.status >= 400 ? { 'X-Content-Type-Options': 'nosniff' } : {}),
      })
      response.end(answer.body)
    })
  }

  async #answer(request: IncomingMessage): Promise<Answer> {
    const path = (request.url ?? '').replace(/[?#].*$/s, '')
    const { method } = request
    switch (path) {
      case '/members':
        if (method !== 'GET') return GET_ONLY
        return {
          status: 200,
          type: JSON_TYPE,
          body: `${encodeMembers(this.#member.membership.members())}\n`,
          isOfCluster: true,
        }
      case '/version':
        if (method !== 'GET') return GET_ONLY
        return { status: 200, type: JSON_TYPE, body: versionJson(this.#versions) }
      case '/downgrade/enabled':
        return this.#downgrade()
      case '/leases':
      case '/leases/internal':
      case '/members/hashkv':
        return this.#withBody(request, path)
      default:
        if (!path.startsWith(PROMOTE)) return text(404, '404 page not found')
        return { ...(await this.#promote(path.slice(PROMOTE.length), method)), isOfCluster: true }
    }
  }

  async #withBody(request: IncomingMessage, path: string): Promise<Answer> {
    if (path !== '/members/hashkv' && request.method !== 'POST')
      return text(405, 'Method Not Allowed')
    const chunks: Uint8Array[] = []
    let bytes = 0
    try {
      for await (const chunk of request as AsyncIterable<Uint8Array>) {
        bytes += chunk.length
        if (bytes > BODY_BYTES_MAX) return text(413, 'request body too large')
        chunks.push(chunk)
      }
    } catch {
      return text(400, 'error reading body')
    }
    const body = Buffer.concat(chunks)
    try {
      if (path === '/members/hashkv') return { ...(await this.#hashKv(body)), isOfCluster: true }
      return await (path === '/leases' ? this.#keepAlive(body) : this.#timeToLive(body))
    } catch {
      return text(400, 'error unmarshalling request')
    }
  }

  #linearized(): Promise<boolean> {
    return new Promise((resolve) => {
      this.#member.linearize((failure) => resolve(failure === undefined))
    })
  }

  async #downgrade(): Promise<Answer> {
    if (!(await this.#linearized()))
      return text(500, 'failed linearized read: etcdserver: request timed out')
    return { status: 200, type: TEXT, body: String(this.#member.membership.downgrade.isEnabled) }
  }

  async #keepAlive(body: Uint8Array): Promise<Answer> {
    const { ID } = LeaseKeepAliveRequest.decode(body)
    if (!this.#member.isLeader) return text(500, errors.NOT_PRIMARY_LESSOR.message)
    if (!(await this.#hasApplied()))
      return text(408, 'waiting for node to catch up its applied index has timed out')
    return new Promise((resolve) => {
      this.#member.renewLease(leaseId(ID), (outcome) => {
        if (outcome.kind === 'renewed') {
          const encoded = LeaseKeepAliveResponse.encode({ ID, TTL: outcome.ttlSeconds })
          resolve({ status: 200, type: 'application/protobuf', body: encoded })
        } else if (outcome.code === 'LEASE_NOT_FOUND') resolve(text(404, 'lease not found'))
        else resolve(text(500, errors[outcome.code].message))
      })
    })
  }

  async #timeToLive(body: Uint8Array): Promise<Answer> {
    const { request } = LeaseInternalRequest.decode(body)
    if (request === undefined) return text(400, 'error unmarshalling request')
    if (!this.#member.isLeader) return text(500, errors.NOT_PRIMARY_LESSOR.message)
    if (!(await this.#hasApplied()))
      return text(408, 'waiting for node to catch up its applied index has timed out')
    failpoint('beforeLookupWhenForwardLeaseTimeToLive')
    return new Promise((resolve) => {
      this.#member.leaseTimeToLive(request.ID, request.keys, (outcome) => {
        if (outcome.kind === 'found') {
          const response = {
            /* etcd fills this header in and panics when there is none. */
            header: ResponseHeader.create({}),
            ID: request.ID,
            TTL: outcome.ttlSeconds,
            grantedTTL: outcome.grantedTtlSeconds,
            keys: outcome.keys.map(bytesFromLatin1),
          }
          resolve({
            status: 200,
            type: 'application/protobuf',
            body: LeaseInternalResponse.encode({ response }),
          })
        } else if (outcome.code === 'LEASE_NOT_FOUND') resolve(text(404, 'lease not found'))
        else resolve(text(500, errors[outcome.code].message))
      })
    })
  }

  /** Waits until what was committed when the call came is applied. */
  #hasApplied(): Promise<boolean> {
    const member = this.#member
    const index = member.committedIndex
    const untilMs = performance.now() + APPLY_WAIT_MS
    return new Promise((resolve) => {
      const look = (): void => {
        if (member.appliedIndex >= index) resolve(true)
        else if (performance.now() > untilMs) resolve(false)
        else setTimeout(look, 10)
      }
      look()
    })
  }

  #hashKv(body: Uint8Array): Promise<Answer> {
    const { revision } = JSON.parse(new TextDecoder().decode(body)) as { revision?: unknown }
    return new Promise((resolve) => {
      const refused = this.#member.store.hashKv(
        typeof revision === 'number' ? revision : 0,
        (hashed) => {
          const header = { revision: hashed.currentRevision }
          const answer = {
            header,
            hash: hashed.hash,
            compact_revision: hashed.compactRevision,
            hash_revision: hashed.revision,
          }
          resolve({ status: 200, type: JSON_TYPE, body: JSON.stringify(answer) })
        },
      )
      if (refused !== undefined)
        resolve(text(400, errors[refused.code].message.replace('etcdserver: ', '')))
    })
  }

  #promote(digits: string, method: string | undefined): Promise<Answer> | Answer {
    if (method !== 'POST') return text(405, 'Method Not Allowed')
    if (!/^\d{1,20}$/.test(digits)) return text(404, `member ${digits} not found in cluster`)
    const id = memberId(BigInt(digits))
    return new Promise((resolve) => {
      this.#member.members.promote(id, (outcome) => {
        if (outcome.kind === 'changed') {
          resolve({
            status: 200,
            type: JSON_TYPE,
            body: `${encodeMembers(this.#member.membership.members())}\n`,
            isOfCluster: true,
          })
        } else if (outcome.code === 'MEMBER_NOT_FOUND')
          resolve(text(404, 'membership: ID not found'))
        else if (outcome.code === 'MEMBER_NOT_LEARNER')
          resolve(text(412, 'membership: can only promote a learner member'))
        else if (outcome.code === 'LEARNER_NOT_READY')
          resolve(text(412, errors.LEARNER_NOT_READY.message))
        else
          resolve({ status: 500, type: JSON_TYPE, body: '{"message":"Internal Server Error"}\n' })
      })
    })
  }
}
