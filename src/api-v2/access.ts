/** Who may do what through the v2 API while authentication is on (facts: http.md 5). */
import type { Duplex } from 'node:stream'
import { allows, GUEST_ROLE_NAME, type KeyAccess, ROOT_ROLE_NAME } from '../auth/v2-role.js'
import type { V2User } from '../auth/v2-user.js'
import type { Log } from '../ports/log.js'
import { AuthFailure } from './auth-failure.js'
import type { AuthStore } from './auth-store.js'
import { parseBasicAuth } from './basic-auth.js'
import type { Requester } from './reply.js'

/** The common names of the certificates that a connection was verified with, the client's first. */
export type CertificateNames = (socket: Duplex) => readonly string[]

export interface AccessOptions {
  readonly store: AuthStore
  readonly log: Log
  /** Only with --client-cert-auth: then a certificate may say who somebody is. */
  readonly certificateNames?: CertificateNames | undefined
}

/**
 * Whether somebody may do something. `overloaded`: it could not be found out, as too many passwords
 * wait to be checked; the same request may succeed later.
 */
export type Verdict = 'allowed' | 'denied' | 'overloaded'

/** Who somebody is, if they are a user. */
type Identity =
  | { readonly kind: 'user'; readonly user: V2User }
  | { readonly kind: 'nobody' }
  | { readonly kind: 'overloaded' }

const NOBODY: Identity = { kind: 'nobody' }

/** What a look into the store gives, or nothing where it fails. */
function maybe<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch (thrown) {
    if (thrown instanceof AuthFailure) return undefined
    throw thrown
  }
}

export class Access {
  readonly #store: AuthStore
  readonly #log: Log
  readonly #certificateNames: CertificateNames | undefined

  constructor(options: AccessOptions) {
    this.#store = options.store
    this.#log = options.log
    this.#certificateNames = options.certificateNames
  }

  /** Whether anybody has to be asked who they are. */
  get isEnforced(): boolean {
    return this.#store.isEnabled
  }

  /** Whether somebody may change the cluster, its users and roles. `path` is for the log. */
  async mayAdminister(requester: Requester, path: string): Promise<Verdict> {
    if (!this.isEnforced) return 'allowed'
    const isNameless = requester.authorization === '' && this.#certificateNames !== undefined
    const identity = isNameless ? this.#byCertificate(requester) : await this.#byPassword(requester)
    if (identity.kind !== 'user') return identity.kind === 'nobody' ? 'denied' : identity.kind
    const { user } = identity
    if (user.roles?.includes(ROOT_ROLE_NAME) === true) return 'allowed'
    this.#log.warn('a user does not have root role for resource', {
      'root-user': user.user,
      'root-role-name': ROOT_ROLE_NAME,
      'resource-path': path,
    })
    return 'denied'
  }

  /** Whether somebody may do this with a key. Who does not say who they are is a guest. */
  async mayUse(requester: Requester, access: KeyAccess): Promise<Verdict> {
    if (!this.isEnforced) return 'allowed'
    const isNameless = requester.authorization === ''
    const identity = isNameless ? this.#byCertificate(requester) : await this.#byPassword(requester)
    if (identity.kind === 'overloaded') return identity.kind
    if (identity.kind === 'user') return this.#mayUser(identity.user, access)
    return isNameless ? this.#mayGuest(access) : 'denied'
  }

  #mayUser({ user, roles }: V2User, access: KeyAccess): Verdict {
    const isAllowed = (roles ?? []).some((name) => {
      const role = maybe(() => this.#store.role(name))
      return role !== undefined && allows(role, access)
    })
    if (isAllowed) return 'allowed'
    this.#log.warn('invalid access for user on key', { 'user-name': user, key: access.key })
    return 'denied'
  }

  /** Guests need no right to what is below a key to ask for all of it: so has etcd. */
  #mayGuest(access: KeyAccess): Verdict {
    const role = maybe(() => this.#store.role(GUEST_ROLE_NAME))
    if (role === undefined) return 'denied'
    if (allows(role, { ...access, isRecursive: false })) return 'allowed'
    this.#log.warn('invalid access for a guest role on key', {
      'role-name': GUEST_ROLE_NAME,
      key: access.key,
    })
    return 'denied'
  }

  async #byPassword({ authorization }: Requester): Promise<Identity> {
    const credentials = parseBasicAuth(authorization)
    if (credentials === undefined) {
      this.#log.warn('malformed basic auth encoding')
      return NOBODY
    }
    const user = maybe(() => this.#store.user(credentials.user))
    if (user === undefined) return NOBODY
    const outcome = await this.#store.checkPassword(user, credentials.password)
    if (outcome.kind !== 'checked') {
      const error = outcome.kind === 'busy' ? 'too many wait' : outcome.reason
      this.#log.warn('failed to check a password', { 'user-name': user.user, error })
      return { kind: 'overloaded' }
    }
    if (outcome.isRight) return { kind: 'user', user }
    this.#log.warn('incorrect password', { 'user-name': credentials.user })
    return NOBODY
  }

  /** The first name in the chain of certificates that is a user's. */
  #byCertificate({ socket }: Requester): Identity {
    for (const name of this.#certificateNames?.(socket) ?? []) {
      const user = maybe(() => this.#store.user(name))
      if (user !== undefined) return { kind: 'user', user }
    }
    return NOBODY
  }
}
