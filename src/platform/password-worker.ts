/** The thread that hashes passwords (src/platform/password-threads.ts): one job at a time. */
import { parentPort } from 'node:worker_threads'
import { compareSync, genSaltSync, hashSync } from 'bcryptjs'
import { invariant } from '../base/invariant.js'
import type { PasswordJob } from './password-threads.js'

/**
 * A salt as Go's bcrypt marks it. The `2b` that the library writes stands for the same algorithm.
 */
const goSalt = (cost: number): string => genSaltSync(cost).replace(/^\$2b\$/, '$2a$')

invariant(parentPort !== null, 'runs as a worker thread')
const port = parentPort
port.on('message', (job: PasswordJob) => {
  port.postMessage(
    job.kind === 'hash'
      ? hashSync(job.password, goSalt(job.cost))
      : compareSync(job.password, job.hash),
  )
})
