import { compareSync, hashSync } from 'bcryptjs'
import type { CheckOutcome, HashOutcome, Passwords } from '../../src/ports/passwords.js'

/** Real hashes at the lowest cost, made on this thread: what tests check does not depend on it. */
export class QuickPasswords implements Passwords {
  /** Whether nothing is taken now. */
  isBusy = false

  hash(password: string, done: (outcome: HashOutcome) => void): void {
    const isTooLong = Buffer.byteLength(password) > 72
    setImmediate(() => {
      if (this.isBusy) done({ kind: 'busy' })
      else if (isTooLong) done({ kind: 'too-long' })
      else done({ kind: 'hash', hash: hashSync(password, 4) })
    })
  }

  check(hash: string, password: string, done: (outcome: CheckOutcome) => void): void {
    setImmediate(() => {
      if (this.isBusy) done({ kind: 'busy' })
      else done({ kind: 'checked', isRight: compareSync(password, hash) })
    })
  }
}
