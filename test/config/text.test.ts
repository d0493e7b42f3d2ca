import * as fc from 'fast-check'
import { parse } from 'smol-toml'
import { describe, expect, it } from 'vitest'
import { setInText, unsetInText } from '../../src/config/text.ts'

type Table = Record<string, unknown>

/** Pieces of a file, each an entry or a comment, as people write them. */
const texts = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 12 }),
  fc.constantFrom('a"b', "it's", 'x # y', 'a = b', '[t]', '\\', '"""', 'l1\nl2', ''),
)
const string = (text: string): string => JSON.stringify(text).replaceAll('\u007f', '\\u007F')
const value = fc.oneof(
  texts.map(string),
  texts.filter((text) => !/['\p{Cc}]/u.test(text)).map((text) => `'${text}'`),
  texts
    .filter((text) => !/['\p{Cc}]/u.test(text))
    .map((text) => `'''\n${text} # no comment\nport = 1'''`),
  texts.map((text) => `"""${string(text).slice(1, -1)} \\"""# no = comment"""`),
  fc.integer().map(String),
  fc.constantFrom('true', '1979-05-27 07:32:00', '0x1F', '-1.5e3', '[]', '{}'),
  fc
    .array(texts, { maxLength: 3 })
    .map(
      (list) => `[ # [ a comment\n${list.map((each) => `  ${string(each)}, # ]`).join('\n')}\n]`,
    ),
)
const names = ['http', 'mdns', 'model', 'slots', 'price', '"odd key"', "'a.b'", 'region'] as const
const comment = fc.constantFrom(
  '# words',
  '#price = "0/0"',
  '  # [aliases]',
  '',
  '#[aliases]',
  '\t',
)
const entry = (key: string) =>
  fc
    .tuple(fc.constantFrom('', '  ', '\t'), value, fc.constantFrom('', ' # why', '\t#x = 1'))
    .map(([indent, text, note]) => `${indent}${key} = ${text}${note}`)
const top = fc
  .tuple(fc.subarray([...names]), fc.array(comment, { maxLength: 4 }), fc.infiniteStream(comment))
  .chain(([keys, first, between]) =>
    fc
      .tuple(...keys.map(entry))
      .map((lines) => [...first, ...lines.flatMap((line) => [line, between.next().value ?? ''])]),
  )
const aliasNames = ['gpt-4', '"gpt-4.1"', 'a']
const aliases = fc.oneof(
  fc.constant<string[]>([]),
  fc
    .subarray(aliasNames)
    .map((keys) => ['# about them', '[ aliases ]', ...keys.map((key) => `${key} = "m" # ${key}`)]),
)
const inline = fc.constantFrom(
  [],
  ['aliases = { gpt-4 = "m", "gpt-4.1" = "n" } # both'],
  ['aliases."gpt-4" = "m"', '# between', 'aliases.a = "n"'],
  ['aliases = {}'],
)
const file = fc
  .tuple(top, aliases, inline, fc.constantFrom('\n', '\r\n'), fc.boolean())
  .map(([lines, table, within, end, ends]) => {
    const all = [...lines, ...(table.length > 0 ? [] : within), ...table].join('\n')
    return (ends ? `${all}\n` : all).replaceAll(/\r?\n/g, end)
  })
const path = fc.oneof(
  fc.constantFrom('http', 'price', 'odd key', 'a.b', 'new', 'log-level').map((key) => [key]),
  fc.constantFrom('gpt-4', 'gpt-4.1', 'a', 'llama3.2:1b').map((name) => ['aliases', name]),
)
const newValue = fc.oneof(
  texts,
  fc.array(texts, { maxLength: 3 }),
  fc.boolean(),
  fc.integer({ min: 0 }),
)

const at = (table: Table, [first = '', second]: readonly string[]): unknown =>
  second === undefined ? table[first] : (table[first] as Table | undefined)?.[second]

describe('a value in the text of a TOML file', () => {
  it('is set: it reads as what was said, and every other line stays as it was', () => {
    fc.assert(
      fc.property(file, path, newValue, (text, key, wanted) => {
        const before = parse(text)
        const after = setInText(text, key, wanted)
        expect(at(parse(after), key)).toEqual(wanted)
        const had = at(before, key) !== undefined
        const isInline = /^aliases = \{/m.test(text) && key.length > 1
        if (!had && !isInline) {
          // Something came, and nothing else is different.
          const start = commonStart(text, after)
          const rest = text.length - start
          expect(after.slice(0, start) + after.slice(after.length - rest)).toBe(text)
        }
        expect(setInText(after, key, wanted)).toBe(after)
      }),
      { numRuns: 400 },
    )
  })

  it('is taken out again: the text is what it was, where the value was new', () => {
    fc.assert(
      fc.property(file, path, newValue, (text, key, wanted) => {
        const before = parse(text)
        const after = setInText(text, key, wanted)
        const out = unsetInText(after, key)
        expect(out).toBeDefined()
        expect(at(parse(out ?? ''), key)).toBeUndefined()
        expect(unsetInText(out ?? '', key)).toBeUndefined()
        const others = Object.keys(before).filter((name) => name !== key[0])
        for (const name of others) expect(parse(out ?? '')[name]).toEqual(before[name])
        if (at(before, key) === undefined && key.length === 1 && text.endsWith('\n')) {
          expect(out).toBe(text)
        }
      }),
      { numRuns: 400 },
    )
  })

  it.each([
    ['a = 1 # one\nb = 2\n', ['a'], 3, 'a = 3 # one\nb = 2\n'],
    ['#a = 1\n\n#b = 2\n', ['a'], 3, '#a = 1\na = 3\n\n#b = 2\n'],
    [
      'b = 2\n\n# of all\n[aliases]\nx = "y"\n',
      ['a'],
      3,
      'b = 2\na = 3\n\n# of all\n[aliases]\nx = "y"\n',
    ],
    ['# of all\n[aliases]\nx = "y"\n', ['a'], 3, 'a = 3\n# of all\n[aliases]\nx = "y"\n'],
    ['[aliases]\nx = "y" # z', ['aliases', 'v.1'], 'w', '[aliases]\nx = "y" # z\n"v.1" = "w"\n'],
    ['[aliases] # none\n', ['aliases', 'v'], 'w', '[aliases] # none\nv = "w"\n'],
    [
      'aliases.x = "y"\nb = 1\n',
      ['aliases', 'v'],
      'w',
      'aliases.x = "y"\naliases.v = "w"\nb = 1\n',
    ],
    ['aliases = {}', ['aliases', 'v'], 'w', 'aliases = { v = "w" }'],
    ['b = 1\n', ['aliases', 'v'], 'w', 'b = 1\n\n[aliases]\nv = "w"\n'],
    ['', ['a'], ['x'], 'a = [ "x" ]\n'],
    ['a = 1\r\n', ['b'], 2, 'a = 1\r\nb = 2\r\n'],
    ['m = """\n#a = 1\n"""\nb = 1\n', ['a'], 2, 'm = """\n#a = 1\n"""\nb = 1\na = 2\n'],
  ])('%j %j = %j', (text, key, wanted, after) => {
    expect(setInText(text, key, wanted)).toBe(after)
  })

  it('is refused where the text would mean something else', () => {
    // Of TOML, but nothing that can be looked up by line: a table of the same name as a value.
    expect(() => setInText('aliases = 1\n', ['aliases', 'x'], 'y')).toThrow()
  })
})

function commonStart(one: string, other: string): number {
  let length = 0
  while (length < one.length && one[length] === other[length]) length += 1
  return length
}
