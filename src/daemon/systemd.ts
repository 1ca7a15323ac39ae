import { spawn } from 'node:child_process'
import type { Log } from '../ports/log.js'

/**
 * Tells systemd that the service is ready. Node cannot send on a unix datagram socket, which
 * NOTIFY_SOCKET is, so systemd's own systemd-notify does it; units need `NotifyAccess=all` for
 * that.
 */
export function notifySystemd(log: Log): void {
  if (process.env.NOTIFY_SOCKET === undefined || process.env.NOTIFY_SOCKET === '') return
  log.info('notifying init daemon')
  const child = spawn('systemd-notify', ['--ready', `--pid=${process.pid}`], { stdio: 'ignore' })
  child.once('error', (error) =>
    log.error('failed to notify init daemon', { error: error.message }),
  )
  child.once('exit', (code) => {
    if (code === 0) log.info('successfully notified init daemon')
    else log.error('failed to notify init daemon', { 'exit-code': code })
  })
}
