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
  async mayAdminister(requester: Requester, path: string): Promise<boolean> {
    if (!this.isEnforced) return true
    const isNameless = requester.authorization === '' && this.#certificateNames !== undefined
    const user = isNameless ? this.#byCertificate(requester) : await this.#byPassword(requester)
    if (user === undefined) return false
    if (user.roles?.includes(ROOT_ROLE_NAME) === true) return true
    this.#log.warn('a user does not have root role for resource', {
      'root-user': user.user,
      'root-role-name': ROOT_ROLE_NAME,
      'resource-path': path,
    })
    return false
  }

  /** Whether somebody may do this with a key. Who does not say who they are is a guest. */
  async mayUse(requester: Requester, access: KeyAccess): Promise<boolean> {
    if (!this.isEnforced) return true
    const { key } = access
    let user: V2User | undefined
    if (requester.authorization !== '') {
      user = await this.#byPassword(requester)
      if (user === undefined) return false
    } else user = this.#byCertificate(requester)
    if (user === undefined) return this.#mayGuest(access)
    const names = user.roles ?? []
    const isAllowed = names.some((name) => {
      const role = maybe(() => this.#store.role(name))
      return role !== undefined && allows(role, access)
    })
    if (!isAllowed) {
      this.#log.warn('invalid access for user on key', { 'user-name': user.user, key })
    }
    return isAllowed
  }

  /** Guests need no right to what is below a key to ask for all of it: so has etcd. */
  #mayGuest(access: KeyAccess): boolean {
    const role = maybe(() => this.#store.role(GUEST_ROLE_NAME))
    if (role === undefined) return false
    const isAllowed = allows(role, { ...access, isRecursive: false })
    if (!isAllowed) {
      this.#log.warn('invalid access for a guest role on key', {
        'role-name': GUEST_ROLE_NAME,
        key: access.key,
      })
    }
    return isAllowed
  }

  async #byPassword({ authorization }: Requester): Promise<V2User | undefined> {
    const credentials = parseBasicAuth(authorization)
    if (credentials === undefined) {
      this.#log.warn('malformed basic auth encoding')
      return undefined
    }
    const user = maybe(() => this.#store.user(credentials.user))
    if (user === undefined) return undefined
    if (await this.#store.isPassword(user, credentials.password)) return user
    this.#log.warn('incorrect password', { 'user-name': credentials.user })
    return undefined
  }

  /** The first name in the chain of certificates that is a user's. */
  #byCertificate({ socket }: Requester): V2User | undefined {
    for (const name of this.#certificateNames?.(socket) ?? []) {
      const user = maybe(() => this.#store.user(name))
      if (user !== undefined) return user
    }
    return undefined
  }
}
