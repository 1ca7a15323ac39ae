import { MIN_CLUSTER_VERSION, SERVER_VERSION } from '../base/version.js'
import type { PeerContext } from './peer-context.js'

/** The headers by which a member shows itself to another (facts: peer-protocol.md 2). */
export function peerHeaders(context: PeerContext): Record<string, string> {
  return {
    'X-Server-From': context.idText,
    'X-Server-Version': SERVER_VERSION,
    'X-Min-Cluster-Version': MIN_CLUSTER_VERSION,
    'X-Etcd-Cluster-ID': context.clusterIdText,
    'X-PeerURLs': context.ownUrls().join(','),
  }
}
