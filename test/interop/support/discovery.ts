import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder } from './cluster.js'
import { type MemberKind, type MemberOptions, MemberProcess } from './member-process.js'
import { freePort } from './ports.js'
import { until } from './until.js'

/** A line of a log in zap's JSON shape: message and fields. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly msg: string }

/** What differs from one run or version to the next. */
const PASSING = ['ts', 'caller', 'stacktrace']

/** The lines of a log whose message is among `messages`, without time and place. */
export function linesOf(log: string, messages: readonly string[]): LogLine[] {
  const lines: LogLine[] = []
  for (const text of log.split('\n')) {
    if (!text.startsWith('{')) continue
    const parsed = JSON.parse(text) as Record<string, unknown>
    if (typeof parsed.msg !== 'string' || !messages.includes(parsed.msg)) continue
    const kept = Object.entries(parsed).filter(([name]) => !PASSING.includes(name))
    lines.push(Object.fromEntries(kept) as LogLine)
  }
  return lines
}

/** Members that find each other by the flags of `each`, and the folder they live in. */
export class Company {
  readonly folder: string
  readonly members: MemberProcess[] = []

  constructor(name: string) {
    this.folder = temporaryFolder(name)
  }

  /** Starts one more member. Both kinds log in zap's shape. */
  async start(
    kind: MemberKind,
    flags: readonly string[],
    name?: string,
    other: Partial<MemberOptions> = {},
  ): Promise<MemberProcess> {
    const called = name ?? `${kind}${this.members.length}`
    const folder = join(this.folder, `${called}-${this.members.length}`)
    mkdirSync(folder)
    const member = new MemberProcess({
      kind,
      name: called,
      folder,
      clientUrl: `http://127.0.0.1:${await freePort()}`,
      peerUrl: `http://127.0.0.1:${await freePort()}`,
      flags: ['--logger=zap', ...flags],
      ...other,
    })
    this.members.push(member)
    member.start()
    return member
  }

  /** Resolves when these members, or all, answer that they are healthy. */
  async healthy(members: readonly MemberProcess[] = this.members): Promise<void> {
    for (const { clientUrl, name } of members) {
      await until(`${name} healthy`, async () => {
        const answer = await fetch(`${clientUrl}/health`, { signal: AbortSignal.timeout(2000) })
        return (await answer.text()).includes('"true"')
      })
    }
  }

  async destroy(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()))
  }
}

/** A member on its own that others keep their tokens on; resolves when it serves. */
export async function keysService(company: Company, kind: MemberKind): Promise<string> {
  const peerUrl = `http://127.0.0.1:${await freePort()}`
  const name = `service-${kind}`
  const flags = ['--enable-v2', '--initial-cluster', `${name}=${peerUrl}`]
  const member = await company.start(kind, flags, name, { peerUrl })
  await company.healthy([member])
  return member.clientUrl
}

/** Makes a token for `size` members on a keys service; answers the URL for `--discovery`. */
export async function makeToken(service: string, token: string, size: string): Promise<string> {
  const url = `${service}/v2/keys/_etcd/registry/${token}`
  const answer = await fetch(`${url}/_config/size`, {
    method: 'PUT',
    body: new URLSearchParams({ value: size }),
  })
  if (answer.status !== 201) throw new Error(`no token: ${await answer.text()}`)
  return url
}
