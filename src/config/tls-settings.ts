import { opensslCipherName } from '../base/cipher-suites.js'
import { goQuote, goQuoteList } from './go-value.js'
import { type Notice, notice } from './notice.js'
import type { TlsConfig } from './server-config.js'
import { isSecure, type ServerUrl } from './server-url.js'
import type { Settings } from './settings.js'

const withoutEmpty = (texts: readonly string[]): readonly string[] =>
  texts.filter((text) => text !== '')

/** TLS of the client listeners, from the flags of 3.x and 2.x. */
export function clientTls(settings: Settings): TlsConfig {
  const olderCa = settings.get('ca-file')
  const trustedCaFile = settings.get('trusted-ca-file') || olderCa
  const hasFiles = settings.get('cert-file') !== '' || settings.get('key-file') !== ''
  return {
    certFile: settings.get('cert-file'),
    keyFile: settings.get('key-file'),
    clientCertFile: settings.get('client-cert-file'),
    clientKeyFile: settings.get('client-key-file'),
    trustedCaFile,
    certAuth: settings.get('client-cert-auth') || trustedCaFile !== '',
    allowedCommonNames: [],
    allowedHostnames: withoutEmpty(settings.get('client-cert-allowed-hostname')),
    revocationListFile: settings.get('client-crl-file'),
    isAuto: settings.get('auto-tls') && !hasFiles,
    skipClientSanVerification: false,
  }
}

/** TLS among peers, from the flags of 3.x and 2.x. */
export function peerTls(settings: Settings): TlsConfig {
  const olderCa = settings.get('peer-ca-file')
  const trustedCaFile = settings.get('peer-trusted-ca-file') || olderCa
  const hasFiles = settings.get('peer-cert-file') !== '' || settings.get('peer-key-file') !== ''
  return {
    certFile: settings.get('peer-cert-file'),
    keyFile: settings.get('peer-key-file'),
    clientCertFile: settings.get('peer-client-cert-file'),
    clientKeyFile: settings.get('peer-client-key-file'),
    trustedCaFile,
    certAuth: settings.get('peer-client-cert-auth') || trustedCaFile !== '',
    allowedCommonNames: withoutEmpty(settings.get('peer-cert-allowed-cn')),
    allowedHostnames: withoutEmpty(settings.get('peer-cert-allowed-hostname')),
    revocationListFile: settings.get('peer-crl-file'),
    isAuto: settings.get('peer-auto-tls') && !hasFiles,
    skipClientSanVerification:
      settings.get('peer-skip-client-san-verification') ||
      settings.get('experimental-peer-skip-client-san-verification'),
  }
}

const hasFile = (tls: TlsConfig): boolean => tls.certFile !== '' || tls.keyFile !== ''

function pairProblem(tls: TlsConfig): string | undefined {
  const { certFile, keyFile, clientCertFile, clientKeyFile } = tls
  if ((certFile === '') !== (keyFile === '')) {
    return `KeyFile and CertFile must both be present[key: ${keyFile}, cert: ${certFile}]`
  }
  if ((clientCertFile === '') !== (clientKeyFile === '')) {
    return (
      'ClientKeyFile and ClientCertFile must both be present or both absent: key: ' +
      `${clientKeyFile}, cert: ${clientCertFile}]`
    )
  }
  return undefined
}

function allowedProblem(tls: TlsConfig): string | undefined {
  const { allowedCommonNames, allowedHostnames } = tls
  if (allowedCommonNames.length === 0 || allowedHostnames.length === 0) return undefined
  return (
    `AllowedCNs and AllowedHostnames are mutually exclusive ` +
    `(cns=${goQuoteList(allowedCommonNames)}, hostnames=${goQuoteList(allowedHostnames)})`
  )
}

/** The first suite that has no meaning, as etcd words it. */
export function cipherProblem(names: readonly string[]): string | undefined {
  const stranger = names.find((name) => opensslCipherName(name) === undefined)
  return stranger === undefined ? undefined : `unexpected TLS cipher suite ${goQuote(stranger)}`
}

const HTTP2_SUITES: readonly string[] = [
  'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
  'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256',
]

/** HTTP/2 over TLS 1.2 demands one of two suites of whoever serves it (RFC 9113 9.2.2). */
function http2SuiteProblem(names: readonly string[]): string | undefined {
  if (names.length === 0 || names.some((name) => HTTP2_SUITES.includes(name))) return undefined
  return (
    'http2: TLSConfig.CipherSuites is missing an HTTP/2-required AES_128_GCM_SHA256 cipher ' +
    `(need at least one of ${HTTP2_SUITES.join(' or ')})`
  )
}

const VALIDITY_PROBLEM = 'selfSignedCertValidity is invalid,it should be greater than 0'

/** What would keep the peer listeners from starting, in etcd's order. */
export function peerTlsProblem(settings: Settings): string | undefined {
  const tls = peerTls(settings)
  const ciphers = cipherProblem(settings.get('cipher-suites'))
  if (ciphers !== undefined) return ciphers
  if (tls.isAuto && settings.get('self-signed-cert-validity') === 0) return VALIDITY_PROBLEM
  const secure = settings.get('listen-peer-urls').find(isSecure)
  if (secure !== undefined && !hasFile(tls) && !tls.isAuto) {
    return (
      `cannot listen on TLS for ${secure.host}${secure.path}: KeyFile and CertFile are ` +
      'not presented'
    )
  }
  return pairProblem(tls) ?? (hasFile(tls) || tls.isAuto ? allowedProblem(tls) : undefined)
}

/** What would keep the client and metrics listeners from starting, in etcd's order. */
export function clientTlsProblem(settings: Settings): string | undefined {
  const tls = clientTls(settings)
  if (tls.isAuto && settings.get('self-signed-cert-validity') === 0) return VALIDITY_PROBLEM
  const isBare = !hasFile(tls) && !tls.isAuto
  const client = settings.get('listen-client-urls')
  const http = settings.get('listen-client-http-urls')
  const shared = http.find((url) => client.some((other) => other.text === url.text))
  if (shared !== undefined) {
    return (
      'cannot bind both --listen-client-urls and --listen-client-http-urls on the same ' +
      `url ${shared.text}`
    )
  }
  const secure = [...client, ...http].find(isSecure)
  if (secure !== undefined && isBare) {
    return (
      'TLS key/cert (--cert-file, --key-file) must be provided for client url ' +
      `${secure.text} with HTTPS scheme`
    )
  }
  if (settings.get('listen-metrics-urls').some(isSecure) && isBare) {
    return 'client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url'
  }
  const suites = secure === undefined ? undefined : settings.get('cipher-suites')
  return pairProblem(tls) ?? http2SuiteProblem(suites ?? [])
}

function plainUrlNotices(
  urls: readonly ServerUrl[],
  tls: TlsConfig,
  names: Readonly<{ field: string; certAuthFlag: string; askedForAuth: boolean }>,
): readonly Notice[] {
  const notices: Notice[] = []
  for (const url of urls) {
    if (url.scheme !== 'http') continue
    const fields = { [names.field]: url.text }
    if (hasFile(tls)) {
      const text =
        'scheme is HTTP while key and cert files are present; ignoring key and cert files'
      notices.push(notice('warn', text, fields))
    }
    if (names.askedForAuth) {
      const text =
        `scheme is HTTP while --${names.certAuthFlag} is enabled; ignoring client cert ` +
        'auth for this URL'
      notices.push(notice('warn', text, fields))
    }
  }
  return notices
}

/** Warnings about TLS settings that plain HTTP URLs leave without effect. */
export function tlsNotices(settings: Settings): readonly Notice[] {
  const client = [...settings.get('listen-client-urls'), ...settings.get('listen-client-http-urls')]
  const hasBoth = (auto: boolean, tls: TlsConfig): boolean => auto && hasFile(tls)
  const ignored = [
    ...(hasBoth(settings.get('auto-tls'), clientTls(settings)) ? ['client'] : []),
    ...(hasBoth(settings.get('peer-auto-tls'), peerTls(settings)) ? ['peer'] : []),
  ]
  return [
    ...ignored.map((side) => notice('warn', `ignoring ${side} auto TLS since certs given`, {})),
    ...plainUrlNotices(settings.get('listen-peer-urls'), peerTls(settings), {
      field: 'peer-url',
      certAuthFlag: 'peer-client-cert-auth',
      askedForAuth: settings.get('peer-client-cert-auth'),
    }),
    ...plainUrlNotices(client, clientTls(settings), {
      field: 'client-url',
      certAuthFlag: 'client-cert-auth',
      askedForAuth: settings.get('client-cert-auth'),
    }),
  ]
}
