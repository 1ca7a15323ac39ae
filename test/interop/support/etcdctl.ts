import { spawn } from 'node:child_process'

/** Debian's, 3.4; INTEROP_ETCDCTL puts another in its place. */
const ETCDCTL = process.env.INTEROP_ETCDCTL ?? '/usr/bin/etcdctl'

/** What a run of etcdctl left behind; `code` is null when it was ended by a signal. */
export interface Output {
  readonly stdout: string
  readonly stderr: string
  readonly code: number | null
}

export interface EtcdctlOptions {
  readonly endpoints: readonly string[]
  readonly args: readonly string[]
  /** Debian's unless told. */
  readonly program?: string
  /** 3 unless told. */
  readonly api?: '2' | '3'
  readonly stdin?: string
  /** Ends it (SIGTERM) a moment after its standard output satisfies this; for commands that never end. */
  readonly enough?: (stdout: string) => boolean
  /** 20 s unless told; then it is killed. */
  readonly timeoutMs?: number
}

/** What comes within this time after "enough" is still seen: one event too many must not go unnoticed. */
const AFTERMATH_MS = 150

/** What must succeed is not given up after etcdctl's two seconds to connect, and five to be answered. */
export const PATIENCE = ['--dial-timeout', '10s', '--command-timeout', '15s'] as const
/** The client of API 2 gives up after 2 s (2.3: after 1): a busy machine may take longer. */
export const V2_PATIENCE = ['--timeout', '10s', '--total-timeout', '15s'] as const

/** Runs etcdctl. Only the variables named here reach it. Output bytes are kept as latin1 characters. */
export function etcdctl(options: EtcdctlOptions): Promise<Output> {
  const {
    endpoints,
    args,
    api = '3',
    stdin = '',
    enough,
    timeoutMs = 20_000,
    program = ETCDCTL,
  } = options
  return new Promise((resolve, reject) => {
    const child = spawn(program, ['--endpoints', endpoints.join(','), ...args], {
      env: { PATH: process.env.PATH ?? '', ETCDCTL_API: api },
    })
    let stdout = ''
    let stderr = ''
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
    child.stdout.setEncoding('latin1').on('data', (text: string) => {
      stdout += text
      if (enough?.(stdout)) setTimeout(() => child.kill('SIGTERM'), AFTERMATH_MS)
    })
    child.stderr.setEncoding('latin1').on('data', (text: string) => {
      stderr += text
    })
    child.stdin.on('error', () => {})
    child.stdin.end(stdin)
    child.once('error', reject)
    child.once('close', (code) => {
      clearTimeout(timer)
      resolve({ stdout, stderr, code })
    })
  })
}

/** As `etcdctl`, but a failure throws with everything it said. Gives the standard output without the last newline. */
export async function mustEtcdctl(options: EtcdctlOptions): Promise<string> {
  const args = [...(options.api === '2' ? [] : PATIENCE), ...options.args]
  const { stdout, stderr, code } = await etcdctl({ ...options, args })
  if (code !== 0 && options.enough === undefined) {
    throw new Error(`etcdctl ${options.args.join(' ')} ended with ${code}: ${stdout}${stderr}`)
  }
  return stdout.replace(/\n$/, '')
}
