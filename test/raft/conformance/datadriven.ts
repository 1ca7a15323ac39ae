/** One command of a transcript: `name arg key=value key=(v1,v2)`, input lines, `----`, expected output. */
export interface Command {
  readonly name: string
  /** Arguments in order; a bare word has no values. */
  readonly args: readonly Argument[]
  readonly input: string
  readonly expected: string
  /** 1-based line of the command, for messages. */
  readonly line: number
}

export interface Argument {
  readonly key: string
  readonly values: readonly string[]
}

/** The text is split into what stays as it is and what commands print. */
interface Transcript {
  readonly commands: readonly Command[]
  /** Text before each command's output (comments, command, input, `----`); one more for the end. */
  readonly between: readonly string[]
}

const SEPARATOR = '----'

export function parseTranscript(text: string): Transcript {
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  const commands: Command[] = []
  const between: string[] = []
  let kept: string[] = []
  let at = 0
  const take = (): string => {
    const line = lines[at] ?? ''
    at += 1
    return line
  }
  while (at < lines.length) {
    const line = take()
    kept.push(line)
    if (line.trim() === '' || line.startsWith('#')) continue
    const commandLine = at
    const input: string[] = []
    while (at < lines.length && lines[at] !== SEPARATOR) input.push(take())
    kept.push(...input, take())
    const expected: string[] = []
    if (lines[at] === SEPARATOR) {
      at += 1
      while (!(lines[at] === SEPARATOR && lines[at + 1] === SEPARATOR)) {
        if (at >= lines.length) throw new Error(`line ${commandLine}: output has no end`)
        expected.push(take())
      }
      at += 2
    } else {
      while (at < lines.length && lines[at] !== '') expected.push(take())
    }
    between.push(kept.join('\n'))
    kept = []
    commands.push({
      ...parseCommandLine(line),
      input: input.join('\n'),
      expected: expected.join('\n'),
      line: commandLine,
    })
  }
  between.push(kept.join('\n'))
  return { commands, between }
}

/** The name and the arguments in one line. */
export function parseCommandLine(line: string): Pick<Command, 'name' | 'args'> {
  const words = line.match(/[^\s(]*\([^)]*\)|\S+/g) ?? []
  const [name = '', ...rest] = words
  return { name, args: rest.map(parseArgument) }
}

function parseArgument(word: string): Argument {
  const list = /^([^=(]+)=\((.*)\)$/.exec(word)
  if (list !== null) {
    const [, key = '', values = ''] = list
    return { key, values: values.trim() === '' ? [] : values.split(',').map((v) => v.trim()) }
  }
  const at = word.indexOf('=')
  if (at <= 0 || word.startsWith('"')) return { key: word, values: [] }
  return { key: word.slice(0, at), values: [word.slice(at + 1)] }
}

/** Runs every command; returns the transcript as it should read, and what differs. */
export function playTranscript(
  text: string,
  run: (command: Command) => string,
): Readonly<{ actual: string; differences: readonly string[] }> {
  const { commands, between } = parseTranscript(text)
  const differences: string[] = []
  let actual = ''
  commands.forEach((command, i) => {
    const output = run(command).replace(/\n+$/, '')
    if (output !== command.expected) {
      differences.push(
        `line ${command.line}: ${command.name}\n--- expected\n${command.expected}\n--- got\n${output}`,
      )
    }
    const hasEmptyLine = /^$/m.test(output) && output !== ''
    const shown = hasEmptyLine ? `${SEPARATOR}\n${output}\n${SEPARATOR}\n${SEPARATOR}` : output
    actual += `${between[i]}\n${shown}\n`
  })
  const end = between.at(-1)
  return { actual: end === '' ? actual : `${actual}${end}\n`, differences }
}
