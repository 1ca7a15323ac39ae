/**
 * The part of the v2 tree that holds users and roles: `/2/enabled`, `/2/users/NAME`,
 * `/2/roles/NAME`. Reads are local or go through the log; writes always do, with etcd's very
 * requests, so that members of both kinds see the same (facts: http.md 5).
 */
import { compareGo } from '../base/go-json.js'
import { V2_CODES, type V2ErrorCode } from '../base/v2-errors.js'
import { AUTH_NAMESPACE } from '../base/v2-paths.js'
import type { V2Event } from '../v2store/event.js'
import type { V2Result } from '../v2store/operations.js'
import { type V2Operation, V2Request } from '../wire/v2-request.js'
import { AuthFailure } from './auth-failure.js'
import type { V2Source } from './source.js'

const ENABLED = `${AUTH_NAMESPACE}/enabled`
const USERS = `${AUTH_NAMESPACE}/users/`
const ROLES = `${AUTH_NAMESPACE}/roles/`

/** Whether a failure is the store's with this code. */
export const isStoreError = (thrown: unknown, code: V2ErrorCode): boolean =>
  thrown instanceof AuthFailure &&
  thrown.problem.kind === 'store' &&
  thrown.problem.error.code === code

function eventOf(result: V2Result): V2Event {
  if (result.kind === 'event') return result.event
  throw new AuthFailure({ kind: 'store', error: result.error })
}

/** An empty name leads to a directory, which etcd's connection does not survive. */
function nodeValue(event: V2Event): string {
  if (event.node.value !== undefined) return event.node.value
  throw AuthFailure.internal('a directory is no user and no role')
}

export class AuthTree {
  readonly #source: V2Source
  #isPrepared = false

  constructor(source: V2Source) {
    this.#source = source
  }

  /** Whether authentication is on, as this member knows. */
  isEnabled(): boolean {
    try {
      return this.#get(ENABLED).node.value?.trim() === 'true'
    } catch (thrown) {
      if (thrown instanceof AuthFailure) return false
      throw thrown
    }
  }

  /** Turns it on or off. */
  async setEnabled(isEnabled: boolean): Promise<void> {
    await this.#prepare()
    await this.#put(ENABLED, String(isEnabled), true)
  }

  /** The JSON of a user as this member has it; fails with 100 when there is none. */
  localUser(name: string): string {
    return nodeValue(this.#get(USERS + name))
  }

  localRole(name: string): string {
    return nodeValue(this.#get(ROLES + name))
  }

  /** The same through the log: what all have agreed on. */
  async quorumUser(name: string): Promise<string> {
    return nodeValue(await this.#propose({ Method: 'QGET', Path: USERS + name }))
  }

  async quorumRole(name: string): Promise<string> {
    return nodeValue(await this.#propose({ Method: 'QGET', Path: ROLES + name }))
  }

  /** Names in order, as this member has them; those that begin with `_` are hidden. */
  userNames(): readonly string[] {
    return this.#names(USERS)
  }

  roleNames(): readonly string[] {
    return this.#names(ROLES)
  }

  /** Fails with 105 when a user must be new and is not, with 100 when it is missing. */
  async putUser(name: string, json: string, mustExist: boolean): Promise<void> {
    await this.#prepare()
    await this.#put(USERS + name, json, mustExist)
  }

  async putRole(name: string, json: string, mustExist: boolean): Promise<void> {
    await this.#prepare()
    await this.#put(ROLES + name, json, mustExist)
  }

  async deleteUser(name: string): Promise<void> {
    await this.#prepare()
    await this.#delete(USERS + name)
  }

  async deleteRole(name: string): Promise<void> {
    await this.#prepare()
    await this.#delete(ROLES + name)
  }

  /** Makes the directories, before the first change that comes through this member. */
  async #prepare(): Promise<void> {
    if (this.#isPrepared) return
    const exists = (thrown: unknown): void => {
      if (!isStoreError(thrown, V2_CODES.keyExists)) throw thrown
    }
    for (const Path of [AUTH_NAMESPACE, USERS, ROLES]) {
      await this.#propose({ Method: 'PUT', Path, Dir: true, PrevExist: false }).catch(exists)
    }
    await this.#put(ENABLED, 'false', false).catch(exists)
    this.#isPrepared = true
  }

  #get(path: string): V2Event {
    const source = this.#source
    const nowMs = source.nowMs()
    return eventOf(source.store().get({ path, nowMs, isRecursive: false, isSorted: false }))
  }

  #names(directory: string): readonly string[] {
    try {
      const { nodes = [] } = this.#get(directory).node
      return nodes.map(({ key }) => key.slice(key.lastIndexOf('/') + 1)).sort(compareGo)
    } catch (thrown) {
      if (isStoreError(thrown, V2_CODES.keyNotFound)) return []
      throw thrown
    }
  }

  async #put(Path: string, Val: string, mustExist: boolean): Promise<void> {
    await this.#propose({ Method: 'PUT', Path, Val, PrevExist: mustExist })
  }

  async #delete(Path: string): Promise<void> {
    await this.#propose({ Method: 'DELETE', Path, PrevExist: true })
  }

  #propose(operation: Partial<V2Operation>): Promise<V2Event> {
    return new Promise((resolve, reject) => {
      this.#source.propose(V2Request.create(operation), (outcome) => {
        if (outcome.kind === 'failed') reject(AuthFailure.internal(outcome.reason))
        else if (outcome.result.kind === 'event') resolve(outcome.result.event)
        else if (outcome.result.kind === 'error') {
          reject(new AuthFailure({ kind: 'store', error: outcome.result.error }))
        } else reject(AuthFailure.internal('received response with no Event/Watcher'))
      })
    })
  }
}
