/**
 * Users, roles and whether they count, as etcd's v2 API manages them: read, decided by the rules of
 * src/auth, and written through the log (facts: http.md 5). Failures are `AuthFailure`s.
 */
import { parseStoredRole, parseStoredUser } from '../auth/v2-json.js'
import {
  DEFAULT_GUEST_ROLE,
  encodeRole,
  GUEST_ROLE_NAME,
  ROOT_ROLE,
  ROOT_ROLE_NAME,
  updateRole,
  type V2Role,
} from '../auth/v2-role.js'
import {
  encodeUser,
  ROOT_USER_NAME,
  updateUser,
  type V2User,
  type V2UserRequest,
  withRootRole,
} from '../auth/v2-user.js'
import { compareGo } from '../base/go-json.js'
import type { V2AuthErrorCode } from '../base/v2-auth-errors.js'
import { V2_CODES, type V2ErrorCode } from '../base/v2-errors.js'
import type { Log } from '../ports/log.js'
import type { CheckOutcome, Passwords } from '../ports/passwords.js'
import type { V2Store } from '../v2store/store.js'
import { AuthFailure } from './auth-failure.js'
import { AuthTree, isStoreError } from './auth-tree.js'
import type { V2Source } from './source.js'

export interface AuthStoreOptions {
  readonly source: V2Source
  readonly passwords: Passwords
  readonly log: Log
}

/** Roles that are kept parsed; with more, all are forgotten and read again as they are needed. */
const KEPT_ROLES_MAX = 1000

/** For a `catch`: when the store said `code`, the failure is `refusal` for `name` instead. */
const instead =
  (code: V2ErrorCode, refusal: V2AuthErrorCode, name: string) =>
  (thrown: unknown): never => {
    throw isStoreError(thrown, code) ? AuthFailure.refused(refusal, name) : thrown
  }

function parsed<T>(value: T | undefined): T {
  if (value === undefined)
    throw AuthFailure.internal('a stored user or role is not as it should be')
  return value
}

export class AuthStore {
  readonly #source: V2Source
  readonly #passwords: Passwords
  readonly #log: Log
  readonly #tree: AuthTree
  #knownStore: V2Store | undefined
  #knownChanges = 0
  #isEnabled = false
  readonly #roles = new Map<string, V2Role>()

  constructor(options: AuthStoreOptions) {
    this.#source = options.source
    this.#passwords = options.passwords
    this.#log = options.log
    this.#tree = new AuthTree(options.source)
  }

  /** Whether who asks must be allowed to. Costs a comparison where there never was a user. */
  get isEnabled(): boolean {
    const store = this.#source.store()
    if (store.authChanges === 0) return false
    this.#follow(store)
    return this.#isEnabled
  }

  /** A user as this member knows it. */
  user(name: string): V2User {
    try {
      return withRootRole(parsed(parseStoredUser(this.#tree.localUser(name))))
    } catch (thrown) {
      return instead(V2_CODES.keyNotFound, 'USER_NOT_FOUND', name)(thrown)
    }
  }

  /** A role as this member knows it. */
  role(name: string): V2Role {
    if (name === ROOT_ROLE_NAME) return ROOT_ROLE
    this.#follow(this.#source.store())
    const kept = this.#roles.get(name)
    if (kept !== undefined) return kept
    try {
      const role = parsed(parseStoredRole(this.#tree.localRole(name)))
      if (this.#roles.size >= KEPT_ROLES_MAX) this.#roles.clear()
      this.#roles.set(name, role)
      return role
    } catch (thrown) {
      return instead(V2_CODES.keyNotFound, 'ROLE_NOT_FOUND', name)(thrown)
    }
  }

  /** All users, by name. */
  users(): readonly V2User[] {
    return this.#tree.userNames().map((name) => this.user(name))
  }

  /** All roles, the root role among them, by name. */
  roles(): readonly V2Role[] {
    const names = [ROOT_ROLE_NAME, ...this.#tree.roleNames()].sort(compareGo)
    return names.map((name) => this.role(name))
  }

  /** Whether the password of a request is the user's. */
  checkPassword(user: V2User, password: string): Promise<CheckOutcome> {
    return new Promise((resolve) => {
      this.#passwords.check(user.password, password, resolve)
    })
  }

  /** Makes a user; its password is the hash afterwards. */
  async createUser(request: V2UserRequest): Promise<V2User> {
    const { user: name, password, roles } = withRootRole(request)
    if (password === '') throw AuthFailure.refused('EMPTY_PASSWORD', name)
    const user: V2User = { user: name, password: await this.#hash(password), roles }
    await this.#tree
      .putUser(name, encodeUser(user), false)
      .catch(instead(V2_CODES.keyExists, 'USER_EXISTS', name))
    this.#log.info('created a user', { 'user-name': name })
    return user
  }

  /** Makes a user, or changes one that is there: a password alone does not say which is meant. */
  async createOrUpdateUser(
    request: V2UserRequest,
  ): Promise<{ readonly user: V2User; readonly isNew: boolean }> {
    const isThere = await isFound(this.#quorumUser(request.user))
    return isThere
      ? { user: await this.updateUser(request), isNew: false }
      : { user: await this.createUser(request), isNew: true }
  }

  async updateUser(request: V2UserRequest): Promise<V2User> {
    const { user: name, password } = request
    const user = await this.#quorumUser(name)
    const hash = password === '' ? undefined : await this.#hash(password)
    const outcome = updateUser(user, request, hash)
    if (outcome.kind === 'refused') throw new AuthFailure(outcome)
    await this.#tree.putUser(name, encodeUser(outcome.user), true)
    this.#log.info('updated a user', { 'user-name': name })
    return outcome.user
  }

  async deleteUser(name: string): Promise<void> {
    if (name === ROOT_USER_NAME && this.isEnabled) throw AuthFailure.refused('ROOT_USER_IN_USE')
    await this.#tree
      .deleteUser(name)
      .catch(instead(V2_CODES.keyNotFound, 'USER_TO_DELETE_NOT_FOUND', name))
    this.#log.info('deleted a user', { 'user-name': name })
  }

  async createRole(role: V2Role): Promise<void> {
    const name = role.role
    if (name === ROOT_ROLE_NAME) throw AuthFailure.refused('ROLE_IS_ROOT', name)
    await this.#tree
      .putRole(name, encodeRole(role), false)
      .catch(instead(V2_CODES.keyExists, 'ROLE_EXISTS', name))
    this.#log.info('created a new role', { 'role-name': name })
  }

  async updateRole(change: V2Role): Promise<V2Role> {
    const name = change.role
    if (name === ROOT_ROLE_NAME) throw AuthFailure.refused('ROLE_IS_ROOT', name)
    const outcome = updateRole(await this.#quorumRole(name), change)
    if (outcome.kind === 'refused') throw new AuthFailure(outcome)
    await this.#tree.putRole(name, encodeRole(outcome.role), true)
    this.#log.info('updated a new role', { 'role-name': name })
    return outcome.role
  }

  async deleteRole(name: string): Promise<void> {
    if (name === ROOT_ROLE_NAME) throw AuthFailure.refused('ROLE_IS_ROOT', name)
    await this.#tree
      .deleteRole(name)
      .catch(instead(V2_CODES.keyNotFound, 'ROLE_TO_DELETE_NOT_FOUND', name))
    this.#log.info('delete a new role', { 'role-name': name })
  }

  /** Turns authentication on; unless there is a guest role, makes one that may do everything. */
  async enable(): Promise<void> {
    if (this.isEnabled) throw AuthFailure.refused('ALREADY_ENABLED')
    if (!(await isFound(this.#quorumUser(ROOT_USER_NAME)))) {
      throw AuthFailure.refused('NO_ROOT_USER')
    }
    if (!(await isFound(this.#quorumRole(GUEST_ROLE_NAME)))) {
      const fields = { 'role-name': GUEST_ROLE_NAME }
      this.#log.info('no guest role access found; creating default', fields)
      await this.createRole(DEFAULT_GUEST_ROLE)
    }
    await this.#tree.setEnabled(true)
    this.#log.info('enabled auth')
  }

  async disable(): Promise<void> {
    if (!this.isEnabled) throw AuthFailure.refused('ALREADY_DISABLED')
    await this.#tree.setEnabled(false)
    this.#log.info('disabled auth')
  }

  #follow(store: V2Store): void {
    if (store === this.#knownStore && store.authChanges === this.#knownChanges) return
    this.#knownStore = store
    this.#knownChanges = store.authChanges
    this.#roles.clear()
    this.#isEnabled = this.#tree.isEnabled()
  }

  async #quorumUser(name: string): Promise<V2User> {
    const json = await this.#tree
      .quorumUser(name)
      .catch(instead(V2_CODES.keyNotFound, 'USER_NOT_FOUND', name))
    return withRootRole(parsed(parseStoredUser(json)))
  }

  async #quorumRole(name: string): Promise<V2Role> {
    if (name === ROOT_ROLE_NAME) return ROOT_ROLE
    const json = await this.#tree
      .quorumRole(name)
      .catch(instead(V2_CODES.keyNotFound, 'ROLE_NOT_FOUND', name))
    return parsed(parseStoredRole(json))
  }

  #hash(password: string): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#passwords.hash(password, (outcome) => {
        if (outcome.kind === 'hash') resolve(outcome.hash)
        else if (outcome.kind === 'failed') reject(AuthFailure.internal(outcome.reason))
        else if (outcome.kind === 'busy') reject(AuthFailure.internal('too many passwords wait'))
        else reject(AuthFailure.internal('password length exceeds 72 bytes'))
      })
    })
  }
}

/** Whether what is looked for is there: any failure counts as "no", as with etcd. */
async function isFound(looking: Promise<unknown>): Promise<boolean> {
  try {
    await looking
    return true
  } catch (thrown) {
    if (thrown instanceof AuthFailure) return false
    throw thrown
  }
}
