import { invariant } from '../base/invariant.js'
import type { FlagDefinition, FlagValues } from './flag.js'
import { clusteringFlags } from './flags-clustering.js'
import { experimentalFlags } from './flags-experimental.js'
import { legacyFlags } from './flags-legacy.js'
import { memberFlags } from './flags-member.js'
import { operationFlags } from './flags-operation.js'
import { securityFlags } from './flags-security.js'

const table = [
  ...memberFlags,
  ...clusteringFlags,
  ...securityFlags,
  ...operationFlags,
  ...experimentalFlags,
  ...legacyFlags,
]

type Entry = (typeof table)[number]

/** Name of a flag of the table. */
export type FlagName = Entry['name']

/** Type of the value of the flag called `Name`. */
export type ValueOf<Name extends FlagName> = FlagValues[Extract<Entry, { name: Name }>['kind']]

/** Names of the flags whose value is a number; durations in milliseconds. */
export type NumberFlagName = Extract<
  Entry,
  { kind: 'duration' | 'integer' | 'unsigned' | 'uint32' }
>['name']

/** A definition whose name is known to be in the table. */
export type NamedFlag = FlagDefinition & { readonly name: FlagName }

/** Every flag of the server, in the order of help and docs. */
export const flagTable: readonly NamedFlag[] = table

const flagsByName = new Map<string, NamedFlag>(flagTable.map((flag) => [flag.name, flag]))
invariant(flagsByName.size === flagTable.length, 'a flag name must be unique')

/** Finds a flag by the name typed, without dashes; case matters. */
export function findFlag(name: string): NamedFlag | undefined {
  return flagsByName.get(name)
}

/** The flags sorted by name, the order in which Go visits them. */
export const flagsInNameOrder: readonly NamedFlag[] = [...flagTable].sort((left, right) =>
  left.name < right.name ? -1 : 1,
)
