import type { EventEmitter } from 'node:events'
import { createRequire } from 'node:module'

/** A node as the v2 API tells of it; the names are the wire's. */
export interface V2Node {
  readonly key?: string
  readonly value?: string
  readonly dir?: boolean
  readonly ttl?: number
  readonly nodes?: readonly V2Node[]
  readonly modifiedIndex?: number
  readonly createdIndex?: number
}

export interface V2Body {
  readonly action: string
  readonly node: V2Node
  readonly prevNode?: V2Node
}

/** What node-etcd gives to a callback as its error when the server said no. */
export interface V2Refusal extends Error {
  readonly errorCode?: number
}

type Options = Readonly<Record<string, string | number | boolean>>
type Done<Body> = (error: V2Refusal | null, body: Body, headers: Record<string, string>) => void

/** Emits `change` and each action by its name, `reconnect` and `resync`. */
export interface V2Watcher extends EventEmitter {
  stop(): void
}

/** The part of node-etcd (npm) that the tests use; the package has no types. */
export interface NodeEtcd {
  get(key: string, options: Options, done: Done<V2Body>): void
  set(key: string, value: string | null, options: Options, done: Done<V2Body>): void
  create(directory: string, value: string, options: Options, done: Done<V2Body>): void
  del(key: string, options: Options, done: Done<V2Body>): void
  mkdir(directory: string, options: Options, done: Done<V2Body>): void
  rmdir(directory: string, options: Options, done: Done<V2Body>): void
  compareAndSwap(k: string, v: string, old: string, options: Options, done: Done<V2Body>): void
  compareAndDelete(key: string, old: string, options: Options, done: Done<V2Body>): void
  watch(key: string, options: Options, done: Done<V2Body>): void
  watchIndex(key: string, index: number, options: Options, done: Done<V2Body>): void
  watcher(key: string, index: number | null, options: Options): V2Watcher
  selfStats(done: Done<Readonly<{ name: string }>>): void
  leaderStats(done: Done<Readonly<{ leader: string }>>): void
  version(done: Done<Readonly<{ etcdserver: string }>>): void
}

const NodeEtcdClass = createRequire(import.meta.url)('node-etcd') as new (
  hosts: readonly string[],
) => NodeEtcd

/** A client of these URLs, which are tried in random order. */
export function nodeEtcd(hosts: readonly string[]): NodeEtcd {
  return new NodeEtcdClass(hosts)
}

/** Runs one call that ends in a callback; the headers are given up. */
export function answer<Body>(call: (done: Done<Body>) => void): Promise<Body> {
  return new Promise((resolve, reject) => {
    call((error, body) => (error === null ? resolve(body) : reject(error)))
  })
}
