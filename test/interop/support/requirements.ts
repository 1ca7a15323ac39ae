import { existsSync } from 'node:fs'
import { describe } from 'vitest'
import {
  DAEMON_BUILT,
  ETCD,
  ETCD_23,
  ETCD_35,
  ETCDCTL_23,
  ETCDCTL_35,
  ETCDUTL_35,
  OURS,
} from './member-process.js'

/** What a test needs beside Node and npm, and the file that tells whether it is there. */
const places = {
  daemon: OURS[1] === undefined ? OURS[0] : DAEMON_BUILT,
  etcd: ETCD,
  etcdctl: '/usr/bin/etcdctl',
  'etcd-2.3': ETCD_23,
  'etcdctl-2.3': ETCDCTL_23,
  'etcd-3.5': ETCD_35,
  'etcdctl-3.5': ETCDCTL_35,
  'etcdutl-3.5': ETCDUTL_35,
  'python3-etcd3': '/usr/lib/python3/dist-packages/etcd3/__init__.py',
  'python3-etcd': '/usr/lib/python3/dist-packages/etcd/__init__.py',
  'vip-manager': '/usr/bin/vip-manager',
  patroni: '/usr/bin/patroni',
  'postgresql-15': '/usr/lib/postgresql/15/bin/postgres',
  iproute2: '/usr/sbin/ip',
  'etcd-discovery': '/usr/bin/discovery.etcd.io',
  dnsmasq: '/usr/sbin/dnsmasq',
  unshare: '/usr/bin/unshare',
  ip: '/usr/sbin/ip',
  'ruby-foreman': '/usr/bin/foreman',
  openssl: '/usr/bin/openssl',
} as const

export type Requirement = keyof typeof places

/** What of `needs` is missing on this machine. */
export function missing(needs: readonly Requirement[]): readonly Requirement[] {
  return needs.filter((need) => !existsSync(places[need] ?? ''))
}

/**
 * A `describe` that is skipped, with a title that names what is missing, where the machine lacks something.
 * With CI=true it runs all the same and fails: there everything is installed.
 */
export function describeWith(needs: readonly Requirement[], title: string, body: () => void): void {
  const absent = missing(needs)
  if (absent.length === 0) describe(title, body)
  else if (process.env.CI === 'true') describe(`${title} (missing: ${absent.join(', ')})`, body)
  else describe.skip(`${title} (skipped, missing: ${absent.join(', ')})`, body)
}
