import { isSocket, type ServerUrl } from '../config/server-url.js'
import type { ListenAddress } from './listener.js'

/** Where a URL says to listen. */
export function listenAddressOf(url: ServerUrl): ListenAddress {
  if (isSocket(url)) return { kind: 'unix', path: url.host + url.path }
  const colon = url.host.lastIndexOf(':')
  const host = url.host.slice(0, colon).replace(/^\[(.*)\]$/, '$1')
  return { kind: 'tcp', host, port: Number(url.host.slice(colon + 1)) }
}

/** Host names and addresses in URLs, each once: what a self-signed certificate is made for. */
export function hostsOf(urls: readonly ServerUrl[]): readonly string[] {
  const hosts = urls
    .filter((url) => !isSocket(url))
    .map((url) => url.host.slice(0, url.host.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1'))
  return [...new Set(hosts)].sort()
}
