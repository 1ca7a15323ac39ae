import type { Command } from './datadriven.js'

/** Values of `key=...`; `undefined` when the command does not have it. */
export function valuesOf(command: Command, key: string): readonly string[] | undefined {
  return command.args.find((arg) => arg.key === key)?.values
}

export function textOf(command: Command, key: string): string | undefined {
  return valuesOf(command, key)?.[0]
}

export function numberOf(command: Command, key: string): number | undefined {
  const text = textOf(command, key)
  return text === undefined ? undefined : Number(text)
}

export const isSet = (command: Command, key: string): boolean => textOf(command, key) === 'true'

/** The bare words, in order. */
export function wordsOf(command: Command): readonly string[] {
  return command.args.filter(({ values }) => values.length === 0).map(({ key }) => key)
}

/** The bare words as member numbers. */
export const membersOf = (command: Command): readonly number[] =>
  wordsOf(command)
    .filter((word) => /^\d+$/.test(word))
    .map(Number)
