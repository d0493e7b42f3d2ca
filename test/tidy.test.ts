import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseSync } from 'vite'
import { describe, expect, it } from 'vitest'

// The house rules that a reader cannot check at a glance. See CONTRIBUTING.md for the reasons.

const root = dirname(dirname(fileURLToPath(import.meta.url)))

const levels: Record<string, number> = {
  base: 0,
  wire: 1,
  storage: 1,
  identity: 2,
  network: 3,
  engines: 3,
  accounts: 3,
  receipts: 4,
  backup: 5,
  trust: 5,
  market: 6,
  api: 7,
  doctor: 7,
  config: 8,
}

/** Which folder may import a vendor's packages. Everything else asks that folder. */
const vendors: [pattern: RegExp, home: string][] = [
  [/^node-llama-cpp/, 'src/engines/llama/'],
  [/^(libp2p|@libp2p\/|@chainsafe\/|@multiformats\/multiaddr|dns-packet)/, 'src/network/host/'],
  [/^(level|classic-level|abstract-level|memory-level)/, 'src/storage/'],
  [/^(fastify|@fastify\/|prom-client|js-tiktoken)/, 'src/api/'],
]

const fileLinesMax = 400
const functionLinesMax = 70
const columnsMax = 100

interface Source {
  path: string
  text: string
  imports: string[]
  functions: { name: string; line: number; lines: number }[]
}

interface Node {
  type: string
  start: number
  end: number
  [key: string]: unknown
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as Node).type === 'string'

function walk(node: Node, visit: (node: Node, parent: Node | undefined) => void, parent?: Node) {
  visit(node, parent)
  for (const value of Object.values(node)) {
    const children = Array.isArray(value) ? value : [value]
    for (const child of children) if (isNode(child)) walk(child, visit, node)
  }
}

function readSource(path: string): Source {
  const text = readFileSync(join(root, path), 'utf8')
  const { program, errors } = parseSync(path, text)
  if (errors.length > 0) throw new Error(`${path} does not parse: ${errors[0]?.message}`)
  const imports: string[] = []
  const functions: Source['functions'] = []
  const lineAt = (offset: number) => text.slice(0, offset).split('\n').length
  walk(program as unknown as Node, (node, parent) => {
    const source = node.source as { value?: unknown } | null | undefined
    if (/^(Import|Export)/.test(node.type) && typeof source?.value === 'string') {
      imports.push(source.value)
    }
    if (/^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type)) {
      const named = (node.id ?? (parent?.key as unknown) ?? parent?.id) as { name?: string } | null
      functions.push({
        name: named?.name ?? '(anonymous)',
        line: lineAt(node.start),
        lines: lineAt(node.end) - lineAt(node.start) + 1,
      })
    }
  })
  return { path, text, imports, functions }
}

const skipped = new Set(['node_modules', 'dist', 'vectors', 'public'])

function list(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`
    if (entry.isDirectory()) return skipped.has(entry.name) ? [] : list(path)
    return entry.name.endsWith('.ts') ? [path] : []
  })
}

const folders = ['src', 'bin', 'testnet', 'test', 'bench'].filter((name) =>
  existsSync(join(root, name)),
)
const sources = folders.flatMap(list).map(readSource)
const inSrc = sources.filter((source) => source.path.startsWith('src/'))

/** The project's own file behind a relative import, as a path from the root. */
function target(source: Source, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined
  return relative(root, resolve(root, dirname(source.path), specifier))
    .split(sep)
    .join('/')
}

const ownImports = (source: Source): string[] =>
  source.imports.map((specifier) => target(source, specifier)).filter((path) => path !== undefined)

/** The room of a file under src/, or undefined for the files beside the rooms. */
const roomOf = (path: string): string | undefined => /^src\/([^/]+)\//.exec(path)?.[1]

describe('rooms', () => {
  it('import only rooms of a lower level', () => {
    const upward = inSrc.flatMap((source) => {
      const room = roomOf(source.path)
      if (room === undefined || room === 'sdk') return []
      return ownImports(source)
        .filter((path) => {
          const other = roomOf(path)
          if (other === room) return false
          return other === undefined || (levels[other] ?? 99) >= (levels[room] ?? -1)
        })
        .map((path) => `${source.path} -> ${path}`)
    })
    expect(upward).toEqual([])
  })

  it('are all on the ladder', () => {
    const rooms = new Set(inSrc.map((source) => roomOf(source.path)))
    const unknown = [...rooms].filter(
      (room) => room !== undefined && room !== 'sdk' && levels[room] === undefined,
    )
    expect(unknown).toEqual([])
  })

  it('the sdk stays light and runs in a browser', () => {
    const allowed = /^src\/(sdk|base|wire)\/|^src\/identity\/(verify|attestation)\.ts$/
    const strays = inSrc
      .filter((source) => roomOf(source.path) === 'sdk')
      .flatMap((source) => [
        ...ownImports(source).filter((path) => !allowed.test(path)),
        ...source.imports.filter((specifier) => specifier.startsWith('node:')),
      ])
    expect(strays).toEqual([])
  })

  it('only the doors are index files', () => {
    const doors = ['src/index.ts', 'src/sdk/index.ts', 'testnet/index.ts']
    const barrels = sources
      .map((source) => source.path)
      .filter((path) => path.endsWith('/index.ts') && !doors.includes(path))
    expect(barrels).toEqual([])
  })

  it('the program and the benches come in through the doors', () => {
    const doors = /^(src\/index\.ts|src\/sdk\/index\.ts|testnet\/index\.ts)$/
    // The simulation stands in for the world around a peer, and has a door of its own.
    const isItsOwn = (from: string, path: string) =>
      from.startsWith('testnet/sim/') && path === 'src/simulation.ts'
    const around = sources
      .filter((source) => /^(bin|testnet|bench)\//.test(source.path))
      .flatMap((source) =>
        ownImports(source)
          .filter((path) => path.startsWith('src/') && !doors.test(path))
          .filter((path) => !isItsOwn(source.path, path))
          .map((path) => `${source.path} -> ${path}`),
      )
    expect(around).toEqual([])
  })

  it('a vendor lives in one folder', () => {
    const elsewhere = inSrc.flatMap((source) =>
      source.imports
        .filter((specifier) =>
          vendors.some(
            ([pattern, home]) => pattern.test(specifier) && !source.path.startsWith(home),
          ),
        )
        .map((specifier) => `${source.path} -> ${specifier}`),
    )
    expect(elsewhere).toEqual([])
  })
})

describe('sizes', () => {
  it(`no file is longer than ${fileLinesMax} lines`, () => {
    const long = sources
      .map((source) => `${source.path}: ${source.text.split('\n').length}`)
      .filter((row) => Number(row.split(': ')[1]) > fileLinesMax)
    expect(long).toEqual([])
  })

  it(`no function of the product is longer than ${functionLinesMax} lines`, () => {
    const long = sources
      .filter((source) => !source.path.startsWith('test/'))
      .flatMap((source) =>
        source.functions
          .filter((found) => found.lines > functionLinesMax)
          .map((found) => `${source.path}:${found.line} ${found.name}: ${found.lines}`),
      )
    expect(long).toEqual([])
  })

  it(`no line is longer than ${columnsMax} columns, but for addresses and literals`, () => {
    const long = sources.flatMap((source) =>
      source.text
        .split('\n')
        .map((line, index) => ({ line, where: `${source.path}:${index + 1}` }))
        .filter(({ line }) => line.length > columnsMax && !/['"`]|https?:|^\s*(\/|\*)/.test(line))
        .map(({ where }) => where),
    )
    expect(long).toEqual([])
  })

  it('file names are kebab-case', () => {
    const odd = sources
      .map((source) => source.path.split('/').at(-1) ?? '')
      .filter((name) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.(test|config|d))?\.ts$/.test(name))
    expect(odd).toEqual([])
  })
})

describe('calls that have a better place', () => {
  // The engine process is a program of its own: its entry may do what programs do.
  const programs = ['src/engines/llama/child.ts']
  const banned: [call: RegExp, instead: string, except: string[]][] = [
    [/\bconsole\.\w+\(/, 'a Logger', programs],
    [/\bprocess\.exit\(/, 'stop what runs, and let the process end', programs],
    [/\bprocess\.env\b/, 'a setting in config.ts', ['src/config/config.ts', ...programs]],
    [/\bDate\.now\(|\bnew Date\(\)/, 'a Clock', ['src/base/clock.ts']],
    [/\bMath\.random\(/, 'a Random', []],
    [/(?<!\.)\bsetTimeout\(/, 'Clock.after or Clock.sleep', ['src/base/clock.ts', ...programs]],
    [/\b(TODO|FIXME|XXX)\b/, 'do it, or open an issue', []],
  ]
  for (const [call, instead, except] of banned) {
    it(`${call.source} → ${instead}`, () => {
      const found = inSrc.flatMap((source) =>
        except.includes(source.path)
          ? []
          : source.text
              .split('\n')
              .map((line, index) => ({ line, where: `${source.path}:${index + 1}` }))
              .filter(({ line }) => call.test(line) && !/^\s*(\/\/|\*|\/\*)/.test(line))
              .map(({ where }) => where),
      )
      expect(found).toEqual([])
    })
  }

  it('every test runs: none is skipped or alone', () => {
    const skips = /\b(it|test|describe)\.(skip|only|todo)\b/
    const found = sources.filter(
      (source) => skips.test(source.text) && source.path !== 'test/tidy.test.ts',
    )
    expect(found.map((source) => source.path)).toEqual([])
  })
})
