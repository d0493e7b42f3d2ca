import { existsSync, globSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readConfig, settingList } from '../../src/index.ts'
import { anyPeer, commandLines, commandOptions, faultOf } from './command-lines.ts'
import { type Block, type Page, readPage, root, tableRows, targetOf } from './document.ts'
import { Examples } from './examples.ts'
import { ask } from './peer-process.ts'
import { spokenWords } from './spoken-words.ts'

// What the pages say is true because it is run here, or because it is looked up where it comes from.

const docs = globSync('docs/*.md', { cwd: root }).sort().map(readPage)
const front = ['README.md', 'CONTRIBUTING.md'].map(readPage)
const pages = [...docs, ...front]

const isShell = ({ language }: Block): boolean => ['bash', 'sh'].includes(language)
/** On the front pages, a block without a language is one of commands to type. */
const isTyped = (block: Block): boolean =>
  block.language === '' || (isShell(block) && block.notRun !== undefined)

/** Blocks of which only the words are checked. More than these need a reason. */
const TYPED_IN_DOCS_MAX = 20
const TYPED_IN_FRONT_MAX = 14

const languages = ['', 'bash', 'sh', 'console', 'js', 'json', 'toml', 'ts', 'text', 'python']

let examples: Examples
/** Two pages at a time, as most of what runs waits for something. */
const PAGES_AT_ONCE = 2
const tries = new Map(pages.map((page) => [page, Promise.withResolvers<void>()]))
let lanes: Promise<void>[] = []

beforeAll(async () => {
  examples = await Examples.start()
  const left = pages.values()
  lanes = Array.from({ length: PAGES_AT_ONCE }, async () => {
    for (const page of left) await triedPage(page)
  })
})
afterAll(async () => {
  await Promise.all(lanes)
  await examples.stop()
})

describe.each(pages.map((page) => ({ page, path: page.path })))('$path', ({ page }) => {
  it('has examples that work as they are shown', async () => {
    await tries.get(page)?.promise
  })

  it('has commands, options, endpoints and variables that exist', async () => {
    const faults: unknown[] = []
    for (const block of page.blocks.filter(isTyped)) {
      for (const line of commandLines(block.text)) {
        const fault = await faultOf(line)
        if (fault !== undefined) faults.push([block.place, fault])
      }
    }
    const quoted = tableRows(page, 'you see').map((row) => row['you see'])
    const spoken = page.codes.filter((code) => !quoted.includes(code))
    faults.push(...(await Promise.all(spoken.map(codeFault))).flat())
    expect(faults).toEqual([])
  })

  it('has links that lead somewhere', async () => {
    expect(await linkFaults(page)).toEqual([])
  })
})

describe('the pages together', () => {
  it('are all in the index', () => {
    const index = docs.find(({ path }) => path === 'docs/README.md')
    const names = docs
      .map(({ path }) => path.replace('docs/', ''))
      .filter((name) => name !== 'README.md')
    expect(names.filter((name) => !index?.links.includes(name))).toEqual([])
  })

  it('say why an example is not run, of few', () => {
    const typed = (of: readonly Page[]) => of.flatMap(({ blocks }) => blocks.filter(isTyped))
    const [inDocs, inFront] = [typed(docs), typed(front)]
    console.log(
      `checked by their words alone: ${inDocs.length} in docs, ${inFront.length} in front`,
    )
    expect(inDocs.filter(({ notRun }) => notRun === undefined).map(({ place }) => place)).toEqual(
      [],
    )
    expect(inDocs.length).toBeLessThanOrEqual(TYPED_IN_DOCS_MAX)
    expect(inFront.length).toBeLessThanOrEqual(TYPED_IN_FRONT_MAX)
  })

  it('name each command, and each option of a peer', async () => {
    const text = pages.map((page) =>
      [page.prose, ...page.blocks.map((each) => each.text)].join('\n'),
    )
    const all = text.join('\n')
    const commands = [...(await commandOptions()).keys()]
    expect(commands.length).toBeGreaterThan(20)
    const isTold = (name: string) => new RegExp(`(pinaivu-peer |\`)${name}(?![a-z])`).test(all)
    expect(commands.filter((name) => !isTold(name))).toEqual([])
    const flags = settingList.map(({ flag }) => flag)
    const named = (flag: string) => new RegExp(`(--(no-)?|^)${flag}\\b`, 'm').test(all)
    expect(flags.filter((flag) => !named(flag) && !all.includes(`\`${flag}\``))).toEqual([])
  })
})

describe('the other pages', () => {
  const folders = ['src', 'testnet', 'protocols', 'models']
  const others = folders.flatMap((folder) => globSync(`${folder}/**/*.md`, { cwd: root }))

  it.each([...others, 'CHANGELOG.md'])('%s has links that lead somewhere', async (path) => {
    expect(await linkFaults(readPage(path))).toEqual([])
  })
})

describe('docs/troubleshooting.md', () => {
  const rows = tableRows(readPage('docs/troubleshooting.md'), 'you see')

  it('quotes what the program says', () => {
    const said = spokenWords('src/**/*.ts', 'bin/*.ts')
    expect(rows.length).toBeGreaterThan(100)
    const isSaid = (words = '') => said.includes(words.replace(/…+/g, '…'))
    expect(rows.map((row) => row['you see']).filter((words) => !isSaid(words))).toEqual([])
  })

  it('has whatever the doctor may find', () => {
    const said = spokenWords('src/doctor/*.ts', 'src/examine.ts')
    const found = said.matchAll(
      /(?:\b(?:fail|warn|fault)\(\s*|code: (?:\w+ \? )?|\w+ \? '\w+'\s*: )'([a-z]+(?:_[a-z]+)+)'/g,
    )
    const codes = new Set([...found].map(([, code]) => code ?? ''))
    expect(codes.size).toBeGreaterThan(35)
    const told = new Set(rows.map(({ code }) => code))
    expect([...codes].filter((code) => !told.has(code))).toEqual([])
    const all = spokenWords('src/**/*.ts')
    const isKnown = (code: string) => all.includes(`'${code.replace(/^bootstrap_/, '')}'`)
    expect(rows.flatMap(({ code }) => (code === undefined || isKnown(code) ? [] : [code]))).toEqual(
      [],
    )
  })
})

describe('the README', () => {
  const [readme] = front

  it('shows Python whose request is answered as it expects', async () => {
    const python = readme?.blocks.find(({ language }) => language === 'python')?.text ?? ''
    const model = /model="([^"]+)"/.exec(python)?.[1]
    const input = JSON.parse(/input=(\[[^\]]+\])/.exec(python)?.[1] ?? '')
    // What the Python client sends by itself.
    const body = { model, input, encoding_format: 'base64' }
    const { data } = await (await ask(examples.peer.ready, '/v1/embeddings', body)).json()
    expect(data).toHaveLength(2)
    expect(Buffer.from(data[0].embedding, 'base64')).toHaveLength(256 * 4)
  })

  it('names fields of a request that exist', async () => {
    const json = readme?.blocks.find(({ language }) => language === 'json')?.text ?? ''
    const wishes = JSON.parse(json.replace('12D3Koo…', examples.peer.ready.peerId))
    const messages = [{ role: 'user', content: 'Hello' }]
    const body = { model: 'pinaivu-demo', messages, ...wishes }
    const answer = await ask(examples.peer.ready, '/v1/chat/completions', body)
    // It is alone, and asked not to do it itself.
    expect([answer.status, (await answer.json()).error.code]).toEqual([503, 'no_nodes_available'])
  })
})

async function linkFaults(page: Page): Promise<string[]> {
  const faults: string[] = []
  for (const link of page.links) {
    if (link.startsWith('https://')) continue
    if (link.startsWith('http://')) {
      const { status } = await fetch(examples.here(link))
      if (status !== 200) faults.push(`${link}: ${status}`)
      continue
    }
    const { path, anchor } = targetOf(page, link)
    const isThere = existsSync(join(root, path))
    if (!isThere || (anchor !== '' && !readPage(path).anchors.includes(anchor))) faults.push(link)
  }
  return faults
}

/** Its blocks one after the other, as they are read; what came of it, its test tells. */
async function triedPage(page: Page): Promise<void> {
  const told = tries.get(page)
  told?.promise.catch(() => {})
  try {
    for (const block of page.blocks) await tried(block)
    told?.resolve()
  } catch (error) {
    told?.reject(error)
  }
}

async function tried(block: Block): Promise<void> {
  const { language, text, place } = block
  expect([place, languages]).toEqual([place, expect.arrayContaining([language])])
  if (isTyped(block)) return
  // Nobody is to get by without a reason.
  if (language === 'text')
    expect([place, text]).toEqual([place, expect.not.stringMatching(/^(\$|npx|npm|curl|pinaivu)/m)])
  const named = (error: unknown) => {
    throw new Error(`${place}: ${error instanceof Error ? error.message : error}`, { cause: error })
  }
  if (isShell(block)) await examples.shell(text).catch(named)
  if (language === 'js') expect(await examples.module(text).catch(named)).toMatch(/\w/)
  if (language === 'console') expect(await examples.session(block).catch(named)).toEqual([])
  if (language === 'json') JSON.parse(text.replaceAll('12D3Koo…', anyPeer))
  if (language === 'toml') readToml(text)
  if (language === 'ts') {
    const source = spokenWords('src/**/*.ts').replaceAll(/export |\s+/g, ' ')
    expect(source).toContain(text.replaceAll(/export |\s+/g, ' ').trim())
  }
}

/** As a peer reads it that is started with this in its folder. */
const readToml = (text: string) =>
  readConfig({
    ...{ flags: { 'data-dir': '/data' }, env: {}, home: '/home/ann', cwd: '/' },
    readFile: () => text.replaceAll('12D3Koo…', anyPeer),
  })

let options: Promise<Set<string>> | undefined
let paths: Promise<string[]> | undefined
/** Of other programs that are spoken of. */
const foreign = ['omit', 'gpus', 'stop-timeout', 'version', 'skip', 'user']

const unnamed = (path: string): string => path.replace(/\{\w+\}/g, '{}')

/** What in a piece of code between backticks is not there. */
async function codeFault(code: string): Promise<string[]> {
  options ??= commandOptions().then((each) => new Set([...each.values()].flat()))
  paths ??= fetch(examples.here('http://127.0.0.1:7462/api/v1/openapi.json'))
    .then((answer) => answer.json())
    .then((api) => Object.keys(api.paths).map(unnamed))
  const faults: string[] = []
  if (/^(npx pinaivu-peer|pinaivu-peer|npm run) [a-z]/.test(code)) {
    return [(await faultOf(code)) ?? ''].filter((fault) => fault !== '')
  }
  for (const [, name = ''] of code.matchAll(/(?:^| )--([a-z][a-z-]+)/g)) {
    const isKnown = (await options).has(name) || foreign.includes(name)
    if (!isKnown) faults.push(`no option --${name}`)
  }
  const path = unnamed(/^(?:[A-Z]+ )?(\/(?:v1|v8|api\/v1)(?:\/[^\s?]+)?)$/.exec(code)?.[1] ?? '')
  const isPath = (await paths).some((each) => each === path || each.startsWith(`${path}/`))
  if (path !== '' && !isPath) faults.push(`no endpoint ${path}`)
  if (/^PINAIVU_(UPSTREAM_KEY_|PASSPHRASE$)/.test(code)) return faults
  const variable = /^PINAIVU_([A-Z_]+)/.exec(code)?.[1]?.toLowerCase().replaceAll('_', '-')
  if (variable !== undefined && !settingList.some(({ flag }) => flag === variable))
    faults.push(`no variable ${code}`)
  const file = /^(?:src|bin|test|testnet|protocols|models|docs)\/[\w./-]+$/.exec(code)?.[0]
  if (file !== undefined && !existsSync(join(root, file))) faults.push(`no file ${file}`)
  return faults.filter((fault) => fault !== '')
}
