import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { parseServerConfig } from '../config/parse-config.js'
import { createDiscoveryService } from '../discovery/discovery-service.js'
import { KeysUpstream } from '../discovery/keys-upstream.js'
import { parseServiceFlags, type ServiceFlags } from '../discovery/service-flags.js'
import { createLog, type ProcessLog } from '../platform/log.js'
import { bindError } from './listener.js'
import { endOnContradictions, failureText, printOutcome, stopOnSignals } from './process-life.js'
import { EtcdServer } from './server.js'
import { notifySystemd } from './systemd.js'

const TOKEN_BYTES = 16
const FAILED_EXIT_CODE = 1

/** The member that keeps the tokens when no cluster is named; it is the whole of its cluster. */
async function startMember(flags: ServiceFlags, log: ProcessLog): Promise<EtcdServer> {
  const { dataDir, listenClientUrl: client, listenPeerUrl: peer } = flags
  const name = 'discovery'
  const outcome = parseServerConfig(
    [
      ...['--name', name, '--data-dir', dataDir, '--initial-cluster', `${name}=${peer}`],
      ...['--listen-client-urls', client, '--advertise-client-urls', client],
      ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
    ],
    {},
    (path) => readFileSync(path, 'utf8'),
  )
  if (outcome.kind !== 'run') {
    const told = outcome.kind === 'refuse' ? outcome.notices.at(-1)?.fields.error : outcome.stderr
    throw new Error(String(told ?? 'the member of the service cannot be set up'))
  }
  return EtcdServer.start({
    config: outcome.config,
    log,
    onEnd: (_reason, message) => {
      log.fatal('the member of the discovery service ended', { error: message })
      log.flush()
      process.exit(FAILED_EXIT_CODE)
    },
  })
}

const given = (file: string): string | undefined =>
  file === '' ? undefined : readFileSync(file, 'utf8')

function upstreamOf(flags: ServiceFlags): KeysUpstream {
  if (flags.members.length === 0) return new KeysUpstream([new URL(flags.listenClientUrl)])
  const [ca, cert, key] = [flags.caFile, flags.clientCertFile, flags.clientKeyFile].map(given)
  return new KeysUpstream(flags.members, {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  })
}

async function serve(flags: ServiceFlags, log: ProcessLog): Promise<void> {
  const upstream = upstreamOf(flags)
  const [cert, key] = [given(flags.certFile), given(flags.keyFile)]
  const app = createDiscoveryService({
    upstream,
    urlPrefix: flags.urlPrefix,
    createToken: () => randomBytes(TOKEN_BYTES).toString('hex'),
    log,
    ...(cert === undefined || key === undefined ? {} : { server: createServer({ cert, key }) }),
  })
  const member = flags.members.length === 0 ? await startMember(flags, log) : undefined
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(flags.address) ?? []
  const bare = host.replace(/^\[|\]$/g, '')
  try {
    await app.listen({ port: Number(port), ...(bare === '' ? { host: '::' } : { host: bare }) })
  } catch (error) {
    await member?.stop()
    const place = { kind: 'tcp', host, port: Number(port) } as const
    throw error instanceof Error ? bindError(place, error) : error
  }
  log.info('serving discovery', {
    address: flags.address,
    etcd:
      flags.members.length === 0 ? flags.listenClientUrl : flags.members.map(({ href }) => href),
  })
  stopOnSignals(async () => {
    await app.close()
    upstream.close()
    await member?.stop()
  }, log)
}

/** `etcd discovery serve`: resolves once it serves, or once it has said why it does not. */
export async function runDiscovery(argv: readonly string[]): Promise<void> {
  const outcome = parseServiceFlags(argv)
  if (outcome.kind === 'print') {
    printOutcome(outcome)
    return
  }
  const log = createLog({ level: 'info', format: 'json', outputs: ['stderr'] })
  log.info('Running: ', { args: ['etcd', 'discovery', ...argv] })
  endOnContradictions(log)
  try {
    await serve(outcome.flags, log)
  } catch (error) {
    log.fatal('the discovery service cannot start', { error: failureText(error) })
    log.flush()
    process.exit(FAILED_EXIT_CODE)
  }
  notifySystemd(log)
}
