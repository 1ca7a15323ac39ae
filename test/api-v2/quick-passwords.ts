import { compareSync, hashSync } from 'bcryptjs'
import type { Passwords } from '../../src/ports/passwords.js'

/** Real hashes at the lowest cost, made on this thread: what tests check does not depend on it. */
export const quickPasswords: Passwords = {
  hash: (password, done) =>
    setImmediate(() =>
      done(
        Buffer.byteLength(password) > 72
          ? { kind: 'too-long' }
          : { kind: 'hash', hash: hashSync(password, 4) },
      ),
    ),
  check: (hash, password, done) =>
    setImmediate(() => done({ kind: 'checked', isRight: compareSync(password, hash) })),
}
