/**
 * etcd's buckets. In the engine a key is one byte for the bucket and etcd's own key behind it; the
 * bytes are in the order of the names, so that one walk over the engine meets the buckets as etcd's
 * Hash does. Format: docs/formats/backend.md.
 */
export const BUCKETS = [
  'alarm',
  'auth',
  'authRoles',
  'authUsers',
  'cluster',
  'key',
  'lease',
  'members',
  'members_removed',
  'meta',
] as const
export type Bucket = (typeof BUCKETS)[number]

/** The byte of the first bucket; the others follow. */
const FIRST_BYTE = 0x10

export const bucketByte = (bucket: Bucket): number => FIRST_BYTE + BUCKETS.indexOf(bucket)
export const KEY_BUCKET_BYTE = bucketByte('key')

/** The bucket of an engine key's first byte; undefined when it is none. */
export const bucketOfByte = (byte: number): Bucket | undefined => BUCKETS[byte - FIRST_BYTE]

/** The engine's key for a bucket's key. */
export function engineKey(bucket: Bucket, key: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(key.length + 1)
  bytes[0] = bucketByte(bucket)
  bytes.set(key, 1)
  return bytes
}

/** All engine keys of a bucket. */
export function bucketRange(bucket: Bucket): {
  readonly start: Uint8Array
  readonly end: Uint8Array
} {
  const byte = bucketByte(bucket)
  return { start: new Uint8Array([byte]), end: new Uint8Array([byte + 1]) }
}

/**
 * Below all buckets, so that no walk over them meets it: the store's index in compact form
 * (src/backend/kept-index.ts).
 */
export const KEPT_INDEX_BYTE = 0x0f

/** All engine keys of all buckets. */
export const WHOLE_RANGE = {
  start: new Uint8Array([FIRST_BYTE]),
  end: new Uint8Array([FIRST_BYTE + BUCKETS.length]),
} as const
