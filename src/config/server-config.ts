import type { ServerUrl } from './server-url.js'

/**
 * The members that bootstrap the cluster, from `--initial-cluster`. It matters at the first start
 * only.
 */
export interface InitialCluster {
  /**
   * The text in force: the flag's, or made from name and advertised URLs when only these are
   * given.
   */
  readonly text: string
  /** URLs of each name, sorted, duplicates kept; empty while `problem` is set. */
  readonly members: ReadonlyMap<string, readonly ServerUrl[]>
  /** Why the text cannot be read, in etcd's words. A restart with data does not look at it. */
  readonly problem: string | undefined
}

/** The v3 service that members of a new cluster meet at; a client of etcd's gRPC API reaches it. */
export interface V3DiscoveryConfig {
  /** Names the cluster at the service; not ''. */
  readonly token: string
  /** `host:port`, `http://`, `https://` or `unix://` addresses; at least one. */
  readonly endpoints: readonly string[]
  /** Time a connection may take, ms. Default 2000. */
  readonly dialTimeoutMs: number
  /** Time a request may take, ms. Default 5000. */
  readonly requestTimeoutMs: number
  /** Time between two pings, ms. Default 2000. */
  readonly keepAliveTimeMs: number
  /** Time to wait for the answer to a ping, ms. Default 6000. */
  readonly keepAliveTimeoutMs: number
  /** Whether an endpoint without a scheme is plain; certificates overrule it. Default true. */
  readonly isInsecureTransport: boolean
  /** Whether the service's certificate goes unverified. Default false. */
  readonly skipTlsVerify: boolean
  /** Certificate of this client, '' = none. */
  readonly certFile: string
  /** Its key, '' = none. */
  readonly keyFile: string
  /** Authorities to trust, '' = the system's. */
  readonly caFile: string
  /** '' = no authentication. */
  readonly user: string
  readonly password: string
}

/** Who tells a new member of the others when `--initial-cluster` does not. */
export type DiscoveryConfig =
  | Readonly<{ kind: 'none' }>
  /** `url` is the token's, `proxy` an HTTP proxy or ''; `fallback` is for a full cluster. */
  | Readonly<{ kind: 'v2'; url: string; proxy: string; fallback: 'exit' | 'proxy' }>
  /** SRV records of `domain`; `service` is a suffix to the service names, '' = none. */
  | Readonly<{ kind: 'dns'; domain: string; service: string }>
  | Readonly<{ kind: 'v3'; service: V3DiscoveryConfig }>

/** TLS of one side: the client listeners, or the peer listeners and the connections to peers. */
export interface TlsConfig {
  /** Certificate file, '' = none. Read again on each handshake. Default ''. */
  readonly certFile: string
  /** Key file, '' = none. Read again on each handshake. Default ''. */
  readonly keyFile: string
  /** Certificate to show as a client; '' = certFile. Default ''. */
  readonly clientCertFile: string
  /** Key to show as a client; '' = keyFile. Default ''. */
  readonly clientKeyFile: string
  /** File of trusted authorities, read once at start; '' = none. Default ''. */
  readonly trustedCaFile: string
  /** Whether the other side must show a certificate: asked for, or a trustedCaFile is set. */
  readonly certAuth: boolean
  /** Common names of which a certificate must carry one; empty = any. Peers only. Default empty. */
  readonly allowedCommonNames: readonly string[]
  /** Host names of which a certificate must carry one; empty = any. Default empty. */
  readonly allowedHostnames: readonly string[]
  /** File of revoked certificates, read again when it changed; '' = none. Default ''. */
  readonly revocationListFile: string
  /** Whether to make a certificate at start; false when files are given. Default false. */
  readonly isAuto: boolean
  /** Whether to leave names in a peer's certificate uncompared with its address. Default false. */
  readonly skipClientSanVerification: boolean
}

/** A TLS version, by the name the flag uses. */
export type TlsVersion = 'TLS1.2' | 'TLS1.3'

/** Which history is compacted away without being asked. */
export type AutoCompaction =
  | Readonly<{ kind: 'off' }>
  /** `retentionMs` of history is kept; more than 0. */
  | Readonly<{ kind: 'periodic'; retentionMs: number }>
  /** `retentionRevisions` before the current one are kept; more than 0. */
  | Readonly<{ kind: 'revision'; retentionRevisions: number }>

/** Least severity that is logged. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'dpanic' | 'panic' | 'fatal'

/** How and where to log. */
export interface LogConfig {
  /** Default 'info'. */
  readonly level: LogLevel
  /** One JSON object a line, or tab-separated for people. Default 'json'. */
  readonly format: 'json' | 'console'
  /** 'stderr', 'stdout' or file paths; not empty, sorted, each once. Default ['stderr']. */
  readonly outputs: readonly string[]
}

/** Pings on gRPC connections; all in milliseconds. */
export interface KeepAliveConfig {
  /** Shortest time between two pings of a client; a faster one is sent away. Default 5000. */
  readonly minTimeMs: number
  /** Time between two pings of ours on a quiet connection; 0 = no pings. Default 7,200,000. */
  readonly intervalMs: number
  /** Time to wait for the answer; 0 = for ever. Default 20,000. */
  readonly timeoutMs: number
}

/** The v2 proxy that the process is to be instead of a member; times in milliseconds. */
export interface V2ProxyConfig {
  /** 'readonly' refuses everything but GET. Default 'off'. */
  readonly mode: 'off' | 'readonly' | 'on'
  /** How long a member that failed is left alone. Default 5000. */
  readonly failureWaitMs: number
  /** Between two looks at the list of members. Default 30,000. */
  readonly refreshIntervalMs: number
  /** How long connecting may take; 0 = no limit. Default 1000. */
  readonly dialTimeoutMs: number
  /** How long sending a request may take; 0 = no limit. Default 5000. */
  readonly writeTimeoutMs: number
  /** How long a member may be silent; 0 = no limit. Default 0. */
  readonly readTimeoutMs: number
}

/** Everything the process is told at start: checked, complete, never changed. */
export interface ServerConfig {
  /** Name of this member. Default 'default'. */
  readonly name: string
  /** Data directory. Default `<name>.etcd`. */
  readonly dataDir: string
  /** Directory of the write-ahead log. Default `<dataDir>/member/wal`. */
  readonly walDir: string
  /** Where to listen for peers. Default http://localhost:2380. */
  readonly listenPeerUrls: readonly ServerUrl[]
  /** Where to listen for clients. Default http://localhost:2379. */
  readonly listenClientUrls: readonly ServerUrl[]
  /**
   * Where to listen for HTTP only; when not empty, listenClientUrls serve gRPC only. Default
   * empty.
   */
  readonly listenClientHttpUrls: readonly ServerUrl[]
  /** Where to serve metrics and health besides. Default empty. */
  readonly listenMetricsUrls: readonly ServerUrl[]
  /** Where peers find this member. Default http://localhost:2380. */
  readonly initialAdvertisePeerUrls: readonly ServerUrl[]
  /** Where clients find this member. Default http://localhost:2379. */
  readonly advertiseClientUrls: readonly ServerUrl[]
  /** The members at bootstrap; see checkInitialCluster. */
  readonly initialCluster: InitialCluster
  /** Whether the cluster starts now or this member joins it. Default 'new'. */
  readonly initialClusterState: 'new' | 'existing'
  /** Where a new member learns of the others instead. Default none. */
  readonly discovery: DiscoveryConfig
  /** Goes into cluster and member ids. Default 'etcd-cluster'. */
  readonly initialClusterToken: string
  /** Make this member the only one of a new cluster, with its data. Default false. */
  readonly forceNewCluster: boolean
  /** Do not wait for the disk. Default false. */
  readonly unsafeNoFsync: boolean
  /** Refuse membership changes that would lose the quorum. Default true. */
  readonly strictReconfigCheck: boolean
  /** Ask for votes before raising the term. Default true. */
  readonly preVote: boolean
  /** Shorten the first election timeout after start. Default true. */
  readonly initialElectionTickAdvance: boolean
  /** Milliseconds between heartbeats, at least 1. Default 100. */
  readonly heartbeatIntervalMs: number
  /** Milliseconds, at least 5 heartbeats and at most 50,000. Default 1000. */
  readonly electionTimeoutMs: number
  /** Applied entries between two snapshots on disk, at least 1. Default 100,000. */
  readonly snapshotCount: number
  /** Log entries kept after a snapshot. Default 5000. */
  readonly snapshotCatchupEntries: number
  /** Snapshot files kept; 0 = all. Default 5. */
  readonly snapshotFilesMax: number
  /** Write-ahead log files kept; 0 = all. Default 5. */
  readonly walFilesMax: number
  /** Size of the store at which writes stop; `undefined` = never. Default 2 GiB. */
  readonly quotaBackendBytes: number | undefined
  /** Longest wait of a change for the store, in milliseconds, above 0. Default 100. */
  readonly backendBatchIntervalMs: number
  /** Most changes that wait for the store, at least 1. Default 10,000. */
  readonly backendBatchChangesMax: number
  /** Most operations of a transaction. Default 128. */
  readonly transactionOperationsMax: number
  /** Largest request of a client in bytes. Default 1,572,864. */
  readonly requestBytesMax: number
  /** Open streams of one client connection. Default 4,294,967,295. */
  readonly concurrentStreamsMax: number
  /** Pings on gRPC connections. */
  readonly keepAlive: KeepAliveConfig
  /** Silence after which a peer connection is dropped, at least 5000 ms. Default 5000. */
  readonly raftReadTimeoutMs: number
  /** Time a write to a peer may take, at least 5000 ms. Default 5000. */
  readonly raftWriteTimeoutMs: number
  /** Set SO_REUSEADDR on listeners. Default false. */
  readonly socketReuseAddress: boolean
  /** Origins that browsers may call from; ['*'] = all. Default ['*']. */
  readonly corsOrigins: readonly string[]
  /** Host names plain HTTP requests may name; '*' or '' among them = all. Default ['*']. */
  readonly hostWhitelist: readonly string[]
  /** TLS of the client listeners. */
  readonly clientTls: TlsConfig
  /** TLS among peers. */
  readonly peerTls: TlsConfig
  /** TLS 1.2 cipher suites by Go's names; empty = the platform's choice. Default empty. */
  readonly cipherSuites: readonly string[]
  /** Lowest TLS version. Default 'TLS1.2'. */
  readonly tlsVersionMin: TlsVersion
  /** Highest TLS version; `undefined` = the highest there is. Default `undefined`. */
  readonly tlsVersionMax: TlsVersion | undefined
  /** Validity of certificates made at start, in years, at least 1 where one is made. Default 1. */
  readonly selfSignedCertValidityYears: number
  /** Validity of an unused simple token in seconds. Default 300. */
  readonly authTokenTtlSeconds: number
  /** Cost of password hashes, 4 to 31. Default 10. */
  readonly bcryptCost: number
  /** Automatic compaction. Default off. */
  readonly autoCompaction: AutoCompaction
  /** Most revisions deleted by compaction in one go, at least 1. Default 1000. */
  readonly compactionBatchRevisionsMax: number
  /** Pause between two batches of compaction in milliseconds. Default 10. */
  readonly compactionSleepIntervalMs: number
  /** Most learners in the cluster. Default 1. */
  readonly learnersMax: number
  /** Share the remaining time of leases. Default false. */
  readonly leaseCheckpoint: boolean
  /** Keep the remaining time of leases over restarts. Default false. */
  readonly leaseCheckpointPersist: boolean
  /** Time between progress notifications of a quiet watch in milliseconds. Default 600,000. */
  readonly watchProgressNotifyIntervalMs: number
  /** Time after which an apply is logged as slow, in milliseconds. Default 100. */
  readonly warningApplyDurationMs: number
  /** Time after which a unary request is logged as slow, in milliseconds. Default 300. */
  readonly warningUnaryRequestDurationMs: number
  /** 'extensive' adds histograms per gRPC method. Default 'basic'. */
  readonly metrics: 'basic' | 'extensive'
  /** Serve the v3 API as JSON. Default true. */
  readonly enableGrpcGateway: boolean
  /** Serve the v2 HTTP API. Default false. */
  readonly enableV2: boolean
  /** Serve as a proxy of the v2 API. */
  readonly v2Proxy: V2ProxyConfig
  /** How and where to log. */
  readonly log: LogConfig
}
