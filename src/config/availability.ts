/**
 * Features that a flag can turn on, and which of them this version does not have. A flag that would
 * turn such a feature on is refused by its name, never ignored. Whoever builds a feature removes
 * its line from `unavailable`; nothing else in this folder needs a change.
 */
const features = [
  'auth',
  'auth-token-jwt',
  'auth-token-none',
  'bootstrap-defragmentation',
  'corruption-check',
  'distributed-tracing',
  'dns-discovery',
  'downgrade-check',
  'grpc-address',
  'journal-log',
  'log-package-levels',
  'log-rotation',
  'member-local-address',
  'memory-lock',
  'pprof',
  'priority-request',
  'socket-reuse-port',
  'stop-on-defragmentation',
  'v2-deprecation',
  'v2-discovery',
  'v2-over-v3',
  'v3-discovery',
] as const

/** Name of a feature that a flag can turn on. */
export type Feature = (typeof features)[number]

const notYet = (what: string): string => `${what} is not available in this version`

/** Why a feature cannot be had; a feature without an entry is available. */
const unavailable: Partial<Readonly<Record<Feature, string>>> = {
  auth: notYet('authentication'),
  'auth-token-jwt': notYet('the token type jwt'),
  'auth-token-none': notYet('authentication without a token type'),
  'bootstrap-defragmentation': notYet('defragmentation at start'),
  'corruption-check': notYet('the corruption check'),
  'distributed-tracing': notYet('distributed tracing'),
  'downgrade-check': notYet('the downgrade check'),
  'grpc-address':
    'a separate gRPC address is not available; gRPC is served on --listen-client-urls',
  'journal-log': notYet('logging to the systemd journal'),
  'log-package-levels': 'levels per package are not available; use --log-level',
  'log-rotation': notYet('log rotation'),
  'member-local-address': notYet('the local address of a member'),
  'memory-lock': 'Node.js cannot lock memory',
  pprof: 'Node.js cannot make profiles in the format of Go',
  'priority-request': notYet('request priority'),
  'socket-reuse-port': 'SO_REUSEPORT cannot be set on Node.js 20',
  'stop-on-defragmentation': notYet('stopping gRPC while defragmenting'),
  'v2-deprecation': notYet('a stage of v2 deprecation other than not-yet'),
  'v2-over-v3': notYet('the v2 API over the v3 store'),
}

/** Why this feature cannot be had, or `undefined` when it is there. */
export function featureProblem(feature: Feature): string | undefined {
  return unavailable[feature]
}
