import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { parse } from 'smol-toml'
import { describe, expect, it, onTestFinished } from 'vitest'
import { readConfig } from '../../src/config/config.ts'
import { type EditContext, setOption, unsetOption } from '../../src/config/edit.ts'
import { changeConfig, writeFirstConfig } from '../../src/config/file.ts'
import { settingList } from '../../src/config/settings.ts'
import { configTemplate } from '../../src/config/template.ts'

const signal = new AbortController().signal
const context: EditContext = {
  path: '/d/config.toml',
  folder: '/d',
  cwd: '/here',
  home: '/home/eve',
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'pinaivu-config-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

const read = (toml: string) =>
  readConfig({
    env: {},
    home: '/home/eve',
    flags: { 'data-dir': '/d' },
    readFile: () => toml,
  })

describe('the first config.toml', () => {
  it('chooses nothing, and shows every option and its help', () => {
    const text = configTemplate()
    expect(parse(text)).toEqual({})
    const words = text.replaceAll(/\s+(# ?)?/g, ' ')
    for (const { flag, help, inFile } of settingList) {
      expect(text.includes(`\n#${flag} = `)).toBe(inFile)
      if (inFile) expect(words).toContain(help)
    }
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80)
  })

  it('says of each default what counts without it', () => {
    const withDefault = settingList.filter((each) => each.inFile && each.default.length > 0)
    for (const { flag } of withDefault) {
      const chosen = configTemplate().replace(`\n#${flag} = `, `\n${flag} = `)
      expect(Object.keys(parse(chosen))).toEqual([flag])
      expect(read(chosen)).toEqual(read(''))
    }
  })

  it('is for the owner alone, and is never written over another', async () => {
    const dir = folder()
    expect(await writeFirstConfig(dir)).toBe(true)
    const path = join(dir, 'config.toml')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readFileSync(path, 'utf8')).toBe(configTemplate())
    writeFileSync(path, '# mine\n')
    expect(await writeFirstConfig(dir)).toBe(false)
    expect(readFileSync(path, 'utf8')).toBe('# mine\n')
    expect(readdirSync(dir)).toEqual(['config.toml'])
  })

  it('leaves nothing where there is no folder', async () => {
    const dir = join(folder(), 'gone')
    await expect(writeFirstConfig(dir)).rejects.toMatchObject({ code: 'ENOENT' })
    expect(existsSync(dir)).toBe(false)
  })
})

const wordsFor: Record<string, fc.Arbitrary<string[]>> = {
  price: fc.tuple(fc.nat(), fc.nat()).map(([a, b]) => [`${a}/${b}`]),
  slots: fc.integer({ min: 1, max: 256 }).map((n) => [`${n}`]),
  mdns: fc.constantFrom(['true'], ['off'], ['1']),
  network: fc.stringMatching(/^[a-z0-9-]{1,32}$/).map((name) => [name]),
  http: fc.constantFrom(['off'], ['127.0.0.1:0'], ['[::1]:7']),
  'cors-origin': fc.constantFrom(['*'], ['https://a.example', 'http://b.example:1']),
  roles: fc.constantFrom(['provider,relay'], ['auditor', 'archive']),
  'aliases.gpt-4.1': fc.constantFrom(['pinaivu-demo'], ['llama3.2:1b']),
}

describe('config set', () => {
  it('is read back as the same words on the command line are read', () => {
    const one = fc
      .constantFrom(...Object.keys(wordsFor))
      .chain((key) => fc.tuple(fc.constant(key), wordsFor[key] ?? fc.constant([])))
    fc.assert(
      fc.property(fc.array(one, { minLength: 1, maxLength: 6 }), (steps) => {
        const text = steps.reduce(
          (before, [key, words]) => setOption(before, key, words, context),
          configTemplate(),
        )
        const last = new Map(steps)
        const alias = last.get('aliases.gpt-4.1')?.[0]
        const flags = [...last].filter(([key]) => !key.startsWith('aliases'))
        const { aliases, ...said } = readConfig({
          env: {},
          home: '/home/eve',
          flags: { ...Object.fromEntries(flags.map(flagOf)), 'data-dir': '/d' },
          readFile: () => undefined,
        })
        expect(read(text)).toEqual({
          ...said,
          aliases: alias === undefined ? {} : { 'gpt-4.1': alias },
        })
        // All comments are where they were.
        const comments = (each: string) => each.split('\n').filter((line) => line.startsWith('#'))
        expect(comments(text)).toEqual(comments(configTemplate()))
        const without = [...last.keys()].reduce(
          (before, key) => unsetOption(before, key, context) ?? 'not there',
          text,
        )
        // The header of the table may stay.
        expect(without.replace('\n[aliases]\n', '\n')).toBe(configTemplate())
      }),
      { numRuns: 60 },
    )
  })

  it.each([
    ['prise', ['1/2'], /^prise: there is no such setting\. Did you mean price\?/],
    ['tls_key', ['x'], /Did you mean tls-key\?/],
    ['price', ['cheap'], /^price: expected micro-credits/],
    ['price', ['1/2', '3/4'], /^price: expected one value, got 2/],
    ['slots', ['0'], /^slots: expected a whole number from 1/],
    ['roles', ['provder'], /^roles: expected one of .*Did you mean provider\?/],
    ['data-dir', ['/x'], /^data-dir: use --data-dir or PINAIVU_DATA_DIR instead/],
    ['aliases', ['x'], /^aliases: say which one, as aliases\.NAME/],
    ['aliases.a b', ['x'], /^aliases\.a b: expected "a b" to be given the name of a model/],
    ['aliases.a', ['a/../b'], /^aliases\.a: expected "a" to be given/],
    ['aliases.a', ['x', 'y'], /^aliases\.a: expected the name of one model/],
    ['aliases.__proto__', ['x'], /^aliases\.__proto__: expected/],
    ['aliases.a', ['a'], /^aliases\.a: expected "a" to end at a model, but: a → a/],
    ['aliases.c', ['a'], /^aliases\.c: expected "a" to end at a model, but: a → b → c → a/],
    ['upstream', ['a=ftp://x'], /upstream/],
  ])('refuses %s %j', (key, words, message) => {
    const text = '[aliases]\na = "b"\nb = "c"\n'
    expect(() => setOption(text, key, words, context)).toThrow(message)
  })

  it('refuses a file that cannot be read, and one with too many aliases', () => {
    expect(() => setOption('a = ', 'price', ['1/2'], context)).toThrow(/config\.toml line 1/)
    const many = Array.from({ length: 1000 }, (_, at) => `a${at} = "x"`).join('\n')
    expect(() => setOption(`[aliases]\n${many}`, 'aliases.b', ['x'], context)).toThrow(
      /at most 1000/,
    )
  })

  it('means a relative path as who types it does', () => {
    const set = (...words: string[]) => setOption('', 'model', words, context)
    expect(set('x=m/a.gguf', 'b.gguf', '~/c.gguf', '/d.gguf')).toBe(
      'model = [ "x=/here/m/a.gguf", "/here/b.gguf", "~/c.gguf", "/d.gguf" ]\n',
    )
    expect(setOption('', 'tls-cert', ['c.pem'], context)).toBe('tls-cert = "/here/c.pem"\n')
  })

  it('takes out what nobody knows, and says when there is nothing', () => {
    expect(unsetOption('mnds = true\nslots = 1\n', 'mnds', context)).toBe('slots = 1\n')
    expect(unsetOption('slots = 1\n', 'price', context)).toBeUndefined()
    expect(() => unsetOption('', 'mnds', context)).toThrow(/Did you mean mdns/)
    expect(() => unsetOption('[odd]\na = 1\n', 'odd', context)).toThrow(/this is a table/)
  })
})

describe('changing the file', () => {
  it('keeps its rights and what a link to it leads to', async () => {
    const [dir, elsewhere] = [folder(), folder()]
    const real = join(elsewhere, 'mine.toml')
    writeFileSync(real, 'slots = 1 # one\n')
    chmodSync(real, 0o640)
    symlinkSync(real, join(dir, 'config.toml'))
    const set = (text: string) => setOption(text, 'slots', ['2'], context)
    expect(await changeConfig(dir, set, { signal })).toBe(true)
    expect(await changeConfig(dir, set, { signal })).toBe(false)
    expect(readFileSync(real, 'utf8')).toBe('slots = 2 # one\n')
    expect(statSync(real).mode & 0o777).toBe(0o640)
    expect([readdirSync(dir), readdirSync(elsewhere)]).toEqual([['config.toml'], ['mine.toml']])
  })

  it('loses nothing of those who do it at once', async () => {
    const dir = folder()
    const names = Array.from({ length: 12 }, (_, at) => `m${at}`)
    await Promise.all(
      names.map((name) =>
        changeConfig(dir, (text) => setOption(text, `aliases.${name}`, ['x'], context), { signal }),
      ),
    )
    const { aliases } = parse(readFileSync(join(dir, 'config.toml'), 'utf8'))
    expect(Object.keys(aliases ?? {}).sort()).toEqual(names.sort())
    expect(readdirSync(dir)).toEqual(['config.toml'])
  })

  it('goes on after one that was killed in the middle, and begins anew when an editor writes', async () => {
    const dir = folder()
    const path = join(dir, 'config.toml')
    const gone = spawn(process.execPath, ['--version'])
    await once(gone, 'close')
    writeFileSync(`${path}.lock`, `${gone.pid}\n`)
    writeFileSync(`${path}.lock.${gone.pid}.0`, `${gone.pid}\n`)
    writeFileSync(`${path}.tmp`, 'half a fi')
    let looks = 0
    const change = (text: string) => {
      looks += 1
      if (looks === 1) writeFileSync(path, 'region = "DE"\n')
      return setOption(text, 'slots', ['2'], context)
    }
    await changeConfig(dir, change, { signal })
    expect(readFileSync(path, 'utf8')).toBe('region = "DE"\nslots = 2\n')
    expect(readdirSync(dir)).toEqual(['config.toml'])
  })

  it('waits a while for another that is at it, and says what to do', async () => {
    const dir = folder()
    writeFileSync(join(dir, 'config.toml.lock'), `${process.pid}\n`)
    let now = 0
    const sleep = async (ms: number) => {
      now += ms
    }
    const clock = { now: () => now, elapsed: () => now, after: () => () => {}, sleep }
    const change = changeConfig(dir, () => 'slots = 1\n', { signal, clock })
    await expect(change).rejects.toMatchObject({
      code: 'overloaded',
      message: expect.stringMatching(/delete .*config\.toml\.lock/),
    })
    expect(readdirSync(dir)).toEqual(['config.toml.lock'])
  })

  it('says in one sentence that it cannot', async () => {
    const dir = join(folder(), 'file')
    writeFileSync(dir, '')
    const change = changeConfig(dir, () => '', { signal })
    await expect(change).rejects.toMatchObject({ code: 'config_unwritable' })
    const odd = folder()
    mkdirSync(join(odd, 'config.toml'))
    const refused = changeConfig(odd, () => '', { signal })
    await expect(refused).rejects.toThrow(/config\.toml: this is not a file/)
  })
})

/** As a command line has it. */
function flagOf([key, words]: [string, readonly string[]]): [string, string | string[]] {
  const { kind } = settingList.find(({ flag }) => flag === key) ?? {}
  return [key, kind === 'many' ? [...words] : (words[0] ?? '')]
}
