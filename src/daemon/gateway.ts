import { formatDurationMs } from '../config/go-value.js'
import { MachineDns } from '../discovery/dns-lookups.js'
import { createLog, type ProcessLog } from '../platform/log.js'
import { systemEntropy } from '../platform/system.js'
import { type CobraValues, parseCobra } from '../proxy/cobra.js'
import { checkListenAddress, gatewayCommand, remotesOf } from '../proxy/gateway-settings.js'
import { discoverEndpoints } from '../proxy/srv-endpoints.js'
import { TcpProxy, type TcpRemote } from '../proxy/tcp-proxy.js'
import { bindError } from './listener.js'
import { endOnContradictions, failureText, printOutcome } from './process-life.js'
import { notifySystemd } from './systemd.js'

/** The start cannot go on; the text goes to standard output as it is, as etcd's does. */
class Refusal extends Error {}

async function findRemotes(values: CobraValues, log: ProcessLog): Promise<readonly TcpRemote[]> {
  const domain = values.text('discovery-srv')
  if (domain !== '') {
    const found = await discoverEndpoints({
      domain,
      serviceName: values.text('discovery-srv-name'),
      isInsecure: values.isOn('insecure-discovery'),
      trustedCaFile: values.text('trusted-ca-file'),
      lookups: new MachineDns(),
      random: () => systemEntropy.below(2 ** 32) / 2 ** 32,
      log,
    })
    if (found.length > 0) return found
  }
  const remotes = remotesOf(values.list('endpoints'))
  if (remotes.kind === 'refused') throw new Refusal(remotes.line)
  return remotes.value
}

async function start(values: CobraValues, log: ProcessLog): Promise<void> {
  const remotes = await findRemotes(values, log)
  const place = await checkListenAddress(values.text('listen-addr'), remotes)
  if (place.kind === 'refused') throw new Refusal(place.line)
  if (remotes.length === 0) throw new Refusal('no endpoints found\n')
  const retryDelayMs = values.number('retry-delay')
  const proxy = new TcpProxy({
    remotes,
    retryDelayMs,
    retryDelayText: formatDurationMs(retryDelayMs),
    entropy: systemEntropy,
    log,
  })
  const { host, port } = place.value
  await new Promise<void>((resolve, reject) => {
    proxy.server.once('error', (error) => reject(bindError({ kind: 'tcp', host, port }, error)))
    proxy.server.listen({ host, port }, resolve)
  })
  proxy.start()
}

/** `etcd gateway`: resolves once it serves, or once it has said why it does not. */
export async function runGateway(argv: readonly string[]): Promise<void> {
  const outcome = parseCobra(gatewayCommand, argv)
  if (outcome.kind === 'print') {
    printOutcome(outcome)
    return
  }
  const log = createLog({ level: 'info', format: 'json', outputs: ['stderr'] })
  log.info('Running: ', { args: ['etcd', 'gateway', ...argv] })
  endOnContradictions(log)
  try {
    await start(outcome.values, log)
  } catch (error) {
    process.exitCode = 1
    if (error instanceof Refusal) process.stdout.write(error.message)
    else process.stderr.write(`${failureText(error)}\n`)
    return
  }
  notifySystemd(log)
}
