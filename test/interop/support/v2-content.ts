import type { MemberProcess } from './member-process.js'
import { until } from './until.js'

export const ROOT_USER = 'root:rootpw'
const MANY = 60
/** A member that is up answers within this time. */
const ANSWER_MS = 10_000
/** Events are asked for at every so many indexes: prime, so that all kinds are met. */
const HISTORY_STEP = 7

type Form = Readonly<Record<string, string>>

interface Question {
  readonly method?: string
  /** Sent as a form. */
  readonly form?: Form
  /** Sent as JSON, in place of a form. */
  readonly json?: unknown
  /** `user:password`. */
  readonly as?: string
}

/** Status, index and body of one request to the v2 API. */
export interface V2Answer {
  readonly status: number
  readonly index: string | null
  readonly body: string
}

export async function askV2(
  { clientUrl }: Pick<MemberProcess, 'clientUrl'>,
  path: string,
  { method = 'GET', form, json, as }: Question = {},
): Promise<V2Answer> {
  const headers: Record<string, string> = {}
  if (json !== undefined) headers['content-type'] = 'application/json'
  if (as !== undefined) headers.authorization = `Basic ${Buffer.from(as).toString('base64')}`
  const body = json === undefined ? form && new URLSearchParams(form) : JSON.stringify(json)
  const response = await fetch(`${clientUrl}${path}`, {
    method,
    headers,
    signal: AbortSignal.timeout(ANSWER_MS),
    ...(body === undefined ? {} : { body }),
  })
  const text = await response.text()
  return { status: response.status, index: response.headers.get('x-etcd-index'), body: text }
}

/** Sets one key and fails when that does not work. */
export async function setV2(member: MemberProcess, key: string, form: Form): Promise<void> {
  const { status, body } = await askV2(member, `/v2/keys/${key}`, { method: 'PUT', form })
  if (status >= 300) throw new Error(`${key}: ${status} ${body}`)
}

/**
 * Nodes and events of every kind that the v2 API has; some of the requests fail on purpose. Resolves with the index of the
 * last event.
 */
export async function fillV2(member: MemberProcess): Promise<number> {
  const put = (key: string, form: Form) => askV2(member, `/v2/keys/${key}`, { method: 'PUT', form })
  const remove = (key: string) => askV2(member, `/v2/keys/${key}`, { method: 'DELETE' })
  for (let at = 0; at < MANY; at += 1) await setV2(member, `many/k${at}`, { value: `value ${at}` })
  await put('changed', { value: 'first' })
  await put('changed', { value: 'second', prevValue: 'first' })
  await put('changed', { value: 'third', prevExist: 'true' })
  await put('changed', { value: 'never', prevValue: 'wrong' })
  await put('dir/sub/deep', { value: '<&> "ünï" 😀\u2028' })
  await put('dir/_hidden', { value: 'h' })
  for (const value of ['one', 'two'])
    await askV2(member, '/v2/keys/queue', { method: 'POST', form: { value } })
  await put('for-an-hour', { value: 'long', ttl: '3600' })
  await put('dir-with-end', { dir: 'true', ttl: '7200' })
  await put('dir-with-end/child', { value: 'c' })
  await put('refreshed', { value: 'r', ttl: '100' })
  await put('refreshed', { refresh: 'true', ttl: '5000', prevExist: 'true' })
  await put('empty', { value: '' })
  await put('open/first', { value: 'x' })
  await put('empty-dir', { dir: 'true' })
  await put('gone', { value: 'x' })
  await remove('gone')
  await put('gone-dir/below', { value: 'x' })
  await remove('gone-dir?recursive=true')
  return Number((await remove('many/k1?prevValue=value%201')).index)
}

/** Users, roles and a guest that may read all and write below /open; on from here. */
export async function enableV2Auth(member: MemberProcess): Promise<void> {
  const put = async (path: string, json: unknown, as?: string): Promise<void> => {
    const question = { method: 'PUT', json, ...(as === undefined ? {} : { as }) }
    const { status, body } = await askV2(member, `/v2/auth/${path}`, question)
    if (status >= 300) throw new Error(`${path}: ${status} ${body}`)
  }
  const kv = (read: readonly string[], write: readonly string[]) => ({ kv: { read, write } })
  await put('users/root', { user: 'root', password: 'rootpw' })
  await put('users/alice', { user: 'alice', password: 'alicepw' })
  await put('roles/reader', { role: 'reader', permissions: kv(['/dir/*'], []) })
  await put('roles/writer', { role: 'writer', permissions: kv(['/many/*'], ['/many/*']) })
  await put('users/alice', { user: 'alice', grant: ['reader', 'writer'] })
  await put('enable', {})
  const guest = { role: 'guest', revoke: kv([], ['/*']), grant: kv([], ['/open/*']) }
  await put('roles/guest', guest, ROOT_USER)
}

/** Answers by request. */
export type View = Readonly<Record<string, string>>

/** The answer without what passes: seconds that are left, and the index that an error is told at. */
async function seenOf(member: MemberProcess, path: string, question: Question): Promise<View> {
  const { status, body } = await askV2(member, path, question)
  const text = body.replace(/"ttl":-?\d+/g, '"ttl":0').replace(/"index":\d+/, '"index":0')
  const { as = 'nobody', method = 'GET' } = question
  return { [`${as} ${method} ${path}`]: `${status} ${text.trim()}` }
}

/**
 * What a guest sees of the tree and of its past, up to `indexMax`, which must be the index of an event of a key: what
 * waits for a later one gets no answer.
 */
export async function treeOf(member: MemberProcess, indexMax: number): Promise<View> {
  let view = await seenOf(member, '/v2/keys/?recursive=true&sorted=true', {})
  const look = async (path: string): Promise<void> => {
    view = { ...view, ...(await seenOf(member, `/v2/keys/${path}`, {})) }
  }
  for (const path of ['dir/_hidden', 'changed?quorum=true', 'gone', 'many/k1']) await look(path)
  for (let index = 1; index <= indexMax; index += HISTORY_STEP)
    await look(`?recursive=true&wait=true&waitIndex=${index}`)
  return view
}

/** Users and roles, and what some of them may. */
export async function usersOf(member: MemberProcess): Promise<View> {
  let view: View = {}
  const look = async (path: string, question: Question): Promise<void> => {
    view = { ...view, ...(await seenOf(member, `/v2/${path}`, question)) }
  }
  for (const path of ['enable', 'users', 'users/alice', 'roles'])
    await look(`auth/${path}`, { as: ROOT_USER })
  const alice = { method: 'DELETE', as: 'alice:alicepw' }
  await look('keys/many/absent', alice)
  await look('keys/changed', alice)
  await look('keys/many/k2', { ...alice, as: 'alice:wrong' })
  await look('keys/many/k2', { method: 'DELETE' })
  return view
}

/** The v2 index that a member has come to. */
export async function v2Index(member: MemberProcess): Promise<number> {
  return Number((await askV2(member, '/v2/keys/')).index)
}

/** Waits until a member is of a cluster with this version. */
export function ofClusterVersion(member: MemberProcess, version: string): Promise<boolean> {
  return until(`${member.name} is in a cluster of ${version}`, async () => {
    const response = await fetch(`${member.clientUrl}/version`)
    const { etcdcluster } = (await response.json()) as { etcdcluster: string }
    return etcdcluster === version
  })
}
