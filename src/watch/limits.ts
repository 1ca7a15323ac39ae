/** Numbers of the watch rules; those that clients can notice are etcd's. */

/** Watchers that one catching-up pass serves. */
export const WATCHERS_PER_PASS_MAX = 512
/** Distinct revisions in one response while catching up. */
export const REVISIONS_PER_RESPONSE_MAX = 1_000
/**
 * Bytes of events in one such response; a single revision may exceed it, because it is never cut.
 */
export const CATCH_UP_BYTES_MAX = 1024 * 1024
/** How soon streams that were full are looked at again, beside their own sign of having drained. */
export const BLOCKED_RETRY_MS = 10
/** Bytes that wait for one client before its watchers stop being served and catch up later. */
export const STREAM_BYTES_MAX = 1024 * 1024
/** Responses that wait for one client before the same happens. */
export const STREAM_RESPONSES_MAX = 4_096
/**
 * Bytes of created, canceled and progress responses that wait for one client before its stream must
 * end.
 */
export const CONTROL_BYTES_MAX = 4 * 1024 * 1024
/** Watches on one stream; etcd has no limit here, but a client must not fill the memory. */
export const WATCHES_PER_STREAM_MAX = 100_000
/** Between two progress notifications of one watcher, before the jitter of up to a tenth. */
export const PROGRESS_INTERVAL_MS = 600_000
/** The shortest interval that can be configured. */
export const PROGRESS_INTERVAL_MS_MIN = 100
/**
 * Responses from this size on are cut for watchers that asked for it: etcd's max-request-bytes and
 * 512 KiB.
 */
export const FRAGMENT_BYTES = 1_572_864 + 524_288
