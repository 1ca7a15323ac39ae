/** Version of etcd that this daemon answers for: `/version`, `--version`, peer headers. */
export const SERVER_VERSION = '3.5.33'

/** Oldest cluster version a member of ours can join (header `X-Min-Cluster-Version`). */
export const MIN_CLUSTER_VERSION = '3.0.0'

/** Version of the v3 API, as `etcdctl version` and the capability checks show it. */
export const API_VERSION = '3.5'
