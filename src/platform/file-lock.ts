import { spawnSync } from 'node:child_process'
import type { LockOutcome } from '../ports/disk.js'

/**
 * Sets F_OFD_SETLK (37) with F_WRLCK (1) over the whole of descriptor 3, as Linux lays out struct
 * flock on 64-bit machines. Ends with 1 when somebody else has the lock, with 3 when the lock
 * cannot be asked for.
 */
const OFD_LOCK = `
  open(my $file, "+<&=3") or exit 3;
  my $lock = pack("s s x4 q q i x4", 1, 0, 0, 0, 0);
  exit 0 if fcntl($file, 37, $lock);
  exit(($!{EAGAIN} || $!{EACCES}) ? 1 : 3);
`

/**
 * Ways to lock, best first. Only the first two are seen by etcd, which uses open-file-description
 * locks on Linux.
 */
const TOOLS = [
  { command: 'flock', args: ['--fcntl', '-n', '3'] },
  { command: 'perl', args: ['-MErrno', '-e', OFD_LOCK] },
  { command: 'flock', args: ['-n', '3'] },
] as const

/** The tools from here on are tried: those before did not work on this machine. */
let firstTool = 0

/**
 * Locks the open file of a descriptor without waiting. Node has no call for it, so another program
 * gets the descriptor as its own and locks the open file description, which we keep when it has
 * ended. Takes 2 to 3 ms.
 *
 * util-linux's flock can set the kind of lock that etcd respects from 2.41 on, perl always can.
 * With neither, an older flock still keeps other daemons of this kind out; without any of them the
 * outcome is `unsupported`.
 */
export function lockDescriptor(descriptor: number): LockOutcome {
  for (let at = firstTool; at < TOOLS.length; at++) {
    const { command, args } = TOOLS[at] as (typeof TOOLS)[number]
    const { status, error } = spawnSync(command, args, {
      stdio: ['ignore', 'ignore', 'ignore', descriptor],
    })
    if (status !== 0 && status !== 1) {
      // A tool that is there and cannot do it never will; a missing one may only be out of PATH for
      // now.
      if (error === undefined && at === firstTool) firstTool = at + 1
      continue
    }
    return status === 0 ? 'locked' : 'held'
  }
  return 'unsupported'
}
