// Goal: the documents do not promise what is not there. Method: links, flags, commands, metrics and files that they
// name are looked up in the repository.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { flagTable } from '../src/config/flag-table.js'
import { serviceFlagNames } from '../src/discovery/service-flags.js'
import { FAMILIES } from '../src/ops/metrics.js'
import { gatewayCommand } from '../src/proxy/gateway-settings.js'
import { grpcProxyCommand } from '../src/proxy/grpc-proxy-settings.js'

const root = resolve(import.meta.dirname, '..')
const documents = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
].map((name) => ({ name, text: readFileSync(join(root, name), 'utf8') }))

/** Flags of programs that the documents call beside the daemon. */
const OF_OTHER_PROGRAMS = new Set([
  ...[
    'ignore-scripts',
    'omit',
    'project',
    'quick',
    'only',
    'expose-gc',
    'seed',
    'trace',
    'count',
    'minutes',
    'help',
    'keep-going',
    'known-bugs',
    'nightly',
    'history',
    'shrink',
    'without',
    'options',
    'everything',
  ],
  // migrate-v2
  ...['from', 'to', 'strip', 'dry-run', 'state', 'follow', 'overwrite', 'from-user', 'to-user'],
  ...['endpoints', 'lease', 'peer-urls', 'prefix', 'learner', 'backup-dir', 'with-v3'],
  ...['cacert', 'cert', 'key', 'fcntl'],
])

/** Whole flags: `--name`, not part of a word and not the `--` that ends npm's own. */
const flagsIn = (text: string): string[] =>
  [...text.matchAll(/(?<![\w-])--([a-z][\w.-]*\w)/g)].map((match) => match[1] ?? '')

/** How GitHub names the anchor of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-')

const anchorsOf = (text: string): string[] =>
  [...text.matchAll(/^#+ (.+)$/gm)].map((match) => anchorOf(match[1] ?? ''))

test('there are documents', () => {
  expect(documents.map(({ name }) => name)).toEqual(
    expect.arrayContaining([
      ...['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md'],
      ...['docs/operations.md', 'docs/configuration.md', 'docs/errors.md', 'docs/performance.md'],
    ]),
  )
})

describe.each(documents.map(({ name, text }) => [name, text] as const))('%s', (name, text) => {
  test('links to what is there', () => {
    const broken: string[] = []
    for (const match of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      const target = match[1] ?? ''
      if (/^[a-z]+:/.test(target)) continue
      const [path = '', anchor] = target.split('#')
      const file = path === '' ? join(root, name) : resolve(root, dirname(name), path)
      const isThere = existsSync(file)
      const hasAnchor =
        anchor === undefined || (isThere && anchorsOf(readFileSync(file, 'utf8')).includes(anchor))
      if (!isThere || !hasAnchor) broken.push(target)
      expect(relative(root, file).startsWith('..')).toBe(false)
    }
    expect(broken).toEqual([])
  })

  test('names flags that exist', () => {
    const known = new Set(
      [...flagTable, ...gatewayCommand.flags, ...grpcProxyCommand.flags]
        .map((flag) => flag.name as string)
        .concat(serviceFlagNames),
    )
    const isPart = (flag: string): boolean => [...known].some((one) => one.startsWith(`${flag}-`))
    const strangers = flagsIn(text).filter(
      (flag) => !known.has(flag) && !OF_OTHER_PROGRAMS.has(flag) && !isPart(flag),
    )
    expect(strangers).toEqual([])
  })

  test('names metrics and npm scripts that exist', () => {
    const metrics = [...text.matchAll(/`((?:etcd|grpc_server|os_fd)_[a-z0-9_]+)`/g)].map(
      (match) => match[1] ?? '',
    )
    expect(metrics.filter((metric) => !(metric in FAMILIES))).toEqual([])
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      readonly scripts: Readonly<Record<string, string>>
    }
    const scripts = [...text.matchAll(/npm run ([\w:]+)/g)].map((match) => match[1] ?? '')
    expect(scripts.filter((script) => manifest.scripts[script] === undefined)).toEqual([])
  })

  test('names files of the repository that exist', () => {
    const files = [...text.matchAll(/`((?:src|test|bench|docs|tools|bin|proto)\/[\w./-]+)`/g)].map(
      (match) => match[1] ?? '',
    )
    expect(files.filter((file) => !existsSync(join(root, file)))).toEqual([])
  })

  test('leaves nothing open', () => {
    expect(text).not.toMatch(/\bTODO\b|\bTBD\b|\bFIXME\b|lorem ipsum/i)
  })
})

test('every folder of src is in the table of layers', () => {
  const architecture = documents.find(({ name }) => name === 'ARCHITECTURE.md')?.text ?? ''
  const folders = readdirSync(join(root, 'src'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && readdirSync(join(root, 'src', entry.name)).length > 0)
    .map((entry) => entry.name)
  const table = architecture.slice(architecture.indexOf('| level |'))
  expect(folders.filter((folder) => !table.includes(`\`${folder}/\``))).toEqual([])
})

test('every runtime dependency is argued for', () => {
  const architecture = documents.find(({ name }) => name === 'ARCHITECTURE.md')?.text ?? ''
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    readonly dependencies: Readonly<Record<string, string>>
  }
  const missing = Object.keys(dependencies).filter(
    (name) => !architecture.includes(`| \`${name}\` |`),
  )
  expect(missing).toEqual([])
})
