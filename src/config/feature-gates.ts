import type { Feature } from './availability.js'
import { goQuote, type Parsed, parseBoolean, refused, value } from './go-value.js'

interface Gate {
  /** An alpha gate is off and a beta gate is on unless something is said. */
  readonly stage: 'alpha' | 'beta'
  /** The boolean flag of etcd 3.4 to 3.6 that did the same. */
  readonly flag?:
    | 'experimental-stop-grpc-service-on-defrag'
    | 'experimental-initial-corrupt-check'
    | 'experimental-compact-hash-check-enabled'
    | 'experimental-txn-mode-write-with-shared-buffer'
    | 'experimental-enable-lease-checkpoint'
    | 'experimental-enable-lease-checkpoint-persist'
  /** What the gate turns on, where that may be missing (availability.ts). */
  readonly feature?: Feature
}

/** The gates of etcd 3.6 and 3.7. */
export const featureGates = {
  StopGRPCServiceOnDefrag: {
    stage: 'alpha',
    flag: 'experimental-stop-grpc-service-on-defrag',
    feature: 'stop-on-defragmentation',
  },
  InitialCorruptCheck: {
    stage: 'alpha',
    flag: 'experimental-initial-corrupt-check',
    feature: 'corruption-check',
  },
  CompactHashCheck: {
    stage: 'alpha',
    flag: 'experimental-compact-hash-check-enabled',
    feature: 'corruption-check',
  },
  TxnModeWriteWithSharedBuffer: {
    stage: 'beta',
    flag: 'experimental-txn-mode-write-with-shared-buffer',
  },
  LeaseCheckpoint: { stage: 'alpha', flag: 'experimental-enable-lease-checkpoint' },
  LeaseCheckpointPersist: { stage: 'alpha', flag: 'experimental-enable-lease-checkpoint-persist' },
  SetMemberLocalAddr: { stage: 'alpha', feature: 'member-local-address' },
  FastLeaseKeepAlive: { stage: 'beta' },
  PriorityRequest: { stage: 'alpha', feature: 'priority-request' },
} as const satisfies Record<string, Gate>

/** Name of a feature gate. */
export type GateName = keyof typeof featureGates

const WHOLE_STAGES: Readonly<Record<string, Gate['stage']>> = { AllAlpha: 'alpha', AllBeta: 'beta' }

/** The gates with all that is known of each, in a fixed order. */
export const gateEntries: readonly (readonly [GateName, Gate])[] = Object.entries(
  featureGates,
) as readonly (readonly [GateName, Gate])[]

const isGate = (name: string): boolean =>
  Object.hasOwn(featureGates, name) || Object.hasOwn(WHOLE_STAGES, name)

/** Reads `Name=true,Other=false`; empty parts are skipped. Texts are those of etcd 3.6. */
export function parseFeatureGates(text: string): Parsed<Readonly<Record<string, boolean>>> {
  const gates: Record<string, boolean> = {}
  for (const part of text.split(',')) {
    if (part === '') continue
    const equals = part.indexOf('=')
    const name = (equals < 0 ? part : part.slice(0, equals)).trim()
    if (equals < 0) return refused(`missing bool value for ${name}`)
    const given = part.slice(equals + 1).trim()
    const flag = parseBoolean(given)
    if (flag.kind === 'refused') {
      const reason = `strconv.ParseBool: parsing ${goQuote(given)}: invalid syntax`
      return refused(`invalid value of ${name}=${given}, err: ${reason}`)
    }
    gates[name] = flag.value
  }
  const stranger = Object.keys(gates).find((name) => !isGate(name))
  return stranger === undefined ? value(gates) : refused(`unrecognized feature gate: ${stranger}`)
}

/** Whether a gate is on: set by name, else with its stage, else the stage's default. */
export function isGateOn(given: Readonly<Record<string, boolean>>, name: GateName): boolean {
  const { stage } = featureGates[name]
  const whole = stage === 'alpha' ? given.AllAlpha : given.AllBeta
  return given[name] ?? whole ?? stage === 'beta'
}
