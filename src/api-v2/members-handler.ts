/** /v2/members and /v2/machines (facts: http.md 3). */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { compareGo, quoteGo, quoteGoList } from '../base/go-json.js'
import { idToHex, type MemberId, memberId, parseHexId } from '../base/ids.js'
import { exhaustive } from '../base/invariant.js'
import type { Member } from '../membership/member.js'
import type { Access } from './access.js'
import {
  answer,
  answerMessage,
  answerNotAllowed,
  answerText,
  type HeaderList,
  JSON_TYPE,
} from './answer.js'
import { answerNotAdmitted } from './auth-handler.js'
import { parsePeerUrls } from './member-urls.js'
import { JSON_BYTES_MAX, readBody } from './read-body.js'
import { ResponseReply } from './reply.js'
import type { V2MembershipOutcome, V2Source } from './source.js'

export const MEMBERS_PREFIX = '/v2/members'

const ALLOWED: readonly string[] = ['GET', 'POST', 'DELETE', 'PUT']

/** A member as clients of the v2 API see it; a learner looks like any other. */
export function encodeV2Member(member: Member): string {
  const fields = [
    `"id":"${idToHex(member.id)}"`,
    `"name":${quoteGo(member.name)}`,
    `"peerURLs":${quoteGoList(member.peerUrls)}`,
    `"clientURLs":${quoteGoList(member.clientUrls)}`,
  ]
  return `{${fields.join(',')}}`
}

/** One request on its way to the answer. */
interface Exchange {
  readonly response: ServerResponse
  readonly headers: HeaderList
}

export class MembersHandler {
  readonly #source: V2Source
  readonly #access: Access

  constructor(source: V2Source, access: Access) {
    this.#source = source
    this.#access = access
  }

  handle(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    before: HeaderList,
  ): void {
    const { method = '' } = request
    if (!ALLOWED.includes(method)) {
      answerNotAllowed(response, before, ALLOWED.join(','))
      return
    }
    if (method === 'GET' || !this.#access.isEnforced) {
      this.#serve(request, response, path, before)
      return
    }
    void this.#access.mayAdminister(new ResponseReply(response), path).then((verdict) => {
      if (verdict === 'allowed') this.#serve(request, response, path, before)
      else answerNotAdmitted(response, before, verdict)
    })
  }

  #serve(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    before: HeaderList,
  ): void {
    const headers = [...before, 'X-Etcd-Cluster-Id', this.#source.clusterIdText]
    const exchange = { response, headers }
    const rest = path.slice(MEMBERS_PREFIX.length).replace(/^\//, '')
    switch (request.method) {
      case 'POST':
        this.#withUrls(request, exchange, (urls) => this.#add(exchange, urls))
        return
      case 'DELETE':
        this.#withId(exchange, rest, (id) =>
          this.#source.removeMember(id, (outcome) => this.#changed(exchange, id, outcome)),
        )
        return
      case 'PUT':
        this.#withId(exchange, rest, (id) =>
          this.#withUrls(request, exchange, (urls) =>
            this.#source.updateMember(id, urls, (outcome) => this.#changed(exchange, id, outcome)),
          ),
        )
        return
      default:
        this.#get(exchange, rest)
    }
  }

  #get({ response, headers }: Exchange, rest: string): void {
    const json = [...headers, 'Content-Type', JSON_TYPE]
    if (rest === '') {
      const members = this.#source.members().map(encodeV2Member)
      answer(response, 200, json, `{"members":[${members.join(',')}]}\n`)
      return
    }
    if (rest !== 'leader') {
      answerMessage(response, 404, headers, 'Not found')
      return
    }
    const id = this.#source.leaderId()
    const leader = this.#source.members().find((member) => member.id === id)
    if (leader === undefined) answerMessage(response, 503, headers, 'During election')
    else answer(response, 200, json, `${encodeV2Member(leader)}\n`)
  }

  #withId(exchange: Exchange, text: string, next: (id: MemberId) => void): void {
    if (text === '') {
      answerText(exchange.response, 405, exchange.headers, 'Method Not Allowed')
      return
    }
    // Longer than 16 digits may still be a number of 64 bits, as zeros may lead.
    const id = parseHexId(text.replace(/^0+(?=[0-9a-fA-F])/, ''))
    if (id !== undefined) next(memberId(id))
    else answerMessage(exchange.response, 404, exchange.headers, `No such member: ${text}`)
  }

  #withUrls(
    request: IncomingMessage,
    exchange: Exchange,
    next: (urls: readonly string[]) => void,
  ): void {
    const { response, headers } = exchange
    const sent = request.headers['content-type'] ?? ''
    const semicolon = sent.indexOf(';')
    const type = semicolon === -1 ? sent : sent.slice(0, semicolon).toLowerCase().trim()
    if (type !== JSON_TYPE) {
      answerMessage(response, 415, headers, `Bad Content-Type ${type}, accept application/json`)
      return
    }
    readBody(request, JSON_BYTES_MAX, (body) => {
      if (body.kind === 'too-large') {
        answerMessage(response, 400, headers, 'http: request body too large')
        return
      }
      const parsed = parsePeerUrls(body.bytes.toString('utf8'))
      if (parsed.kind === 'bad') answerMessage(response, 400, headers, parsed.reason)
      else next(parsed.urls)
    })
  }

  #add(exchange: Exchange, urls: readonly string[]): void {
    const { response, headers } = exchange
    const member = this.#source.newMember(urls)
    this.#source.addMember(member, (outcome) => {
      if (outcome.kind !== 'changed') {
        this.#changed(exchange, member.id, outcome)
        return
      }
      const json = [...headers, 'Content-Type', JSON_TYPE]
      answer(response, 201, json, `${encodeV2Member(member)}\n`)
    })
  }

  #changed({ response, headers }: Exchange, id: MemberId, outcome: V2MembershipOutcome): void {
    switch (outcome.kind) {
      case 'changed':
        answer204(response, headers)
        return
      case 'id-exists':
        answerMessage(response, 409, headers, 'membership: ID exists')
        return
      case 'peer-url-exists':
        answerMessage(response, 409, headers, 'membership: peerURL exists')
        return
      case 'not-found':
        answerMessage(response, 404, headers, `No such member: ${idToHex(id)}`)
        return
      case 'removed':
        answerMessage(response, 410, headers, `Member permanently removed: ${idToHex(id)}`)
        return
      case 'failed':
        answerMessage(response, 500, headers, 'Internal Server Error')
        return
      default:
        exhaustive(outcome)
    }
  }
}

function answer204(response: ServerResponse, headers: HeaderList): void {
  response.writeHead(204, [...headers])
  response.end()
}

/** The body of /v2/machines: every client URL of the cluster. */
export const machinesText = (members: readonly Member[]): string =>
  members
    .flatMap(({ clientUrls }) => clientUrls)
    .sort(compareGo)
    .join(', ')
