import { PassThrough, Readable } from 'node:stream'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Entry, MESSAGE_CHARS_MAX, MessageReader } from '../../bin/message-reader.ts'
import { pipedMessages } from '../../bin/piped-messages.ts'
import { TypedMessages } from '../../bin/typed-messages.ts'
import { stage } from './stage.ts'

const message = (text: string): Entry => ({ kind: 'message', text })
const command = (text: string): Entry => ({ kind: 'command', text })

/** What lines come to; one that begins with `P:` ended in a paste. */
function read(...lines: string[]): Entry[] {
  const reader = new MessageReader({ commands: true })
  const entries = lines.flatMap((line) => {
    const isPasted = line.startsWith('P:')
    return reader.push(isPasted ? line.slice(2) : line, isPasted) ?? []
  })
  return [...entries, ...(reader.end() === undefined ? [] : [message('left over')])]
}

describe('lines become messages', () => {
  it.each<[string, string[], Entry[]]>([
    ['a line', ['  What? '], [message('What?')]],
    ['empty lines', ['', '  ', '"""', '"""', '""""""'], []],
    ['a block', ['"""', 'a', '', ' b', '"""'], [message('a\n\n b')]],
    ['a block on one line', ['"""a b"""', 'c'], [message('a b'), message('c')]],
    ['text beside the quotes', ['"""a', 'b"""'], [message('a\nb')]],
    ['what a block holds', ['"""', '/clear', 'a\\', '"""'], [message('/clear\na\\')]],
    ['a backslash', ['a\\', 'b\\', 'c', 'd'], [message('a\nb\nc'), message('d')]],
    ['two backslashes', ['C:\\\\', 'd'], [message('C:\\\\'), message('d')]],
    ['a command', [' /clear ', '/system a\\', 'b'], [command('/clear'), command('/system a\nb')]],
    ['a slash', ['//etc', '//'], [message('/etc'), message('/')]],
    ['a command with a block', ['/system """', 'a', 'b"""'], [command('/system "a\nb"')]],
    ['a paste', ['P:a', 'P:', 'b', 'c'], [message('a\n\nb'), message('c')]],
    ['a paste of anything', ['P:/clear', 'P:"""', 'P:a\\', 'b'], [message('/clear\n"""\na\\\nb')]],
    ['a paste with a line end', ['P:  a', ''], [message('  a')]],
    ['a paste in a block', ['"""', 'P:a"""', 'b', '"""'], [message('a"""\nb')]],
    ['a paste behind a backslash', ['a\\', 'P:b', 'c'], [message('a\nb\nc')]],
  ])('%s', (_name, lines, entries) => {
    expect(read(...lines)).toEqual(entries)
  })

  it('knows no commands in what comes from a pipe', () => {
    const reader = new MessageReader({ commands: false })
    expect(reader.push('/clear')).toEqual(message('/clear'))
    expect(reader.push('//a')).toEqual(message('//a'))
  })

  it('throws away what is dropped', () => {
    const reader = new MessageReader({ commands: true })
    reader.push('"""')
    reader.push('a')
    expect(reader.isOpen).toBe(true)
    reader.drop()
    expect(reader.push('b')).toEqual(message('b'))
  })

  it('refuses what is too long, and reads on behind it', () => {
    const reader = new MessageReader({ commands: true })
    reader.push('"""')
    const line = 'x'.repeat(MESSAGE_CHARS_MAX / 4)
    for (let each = 0; each < 5; each++) expect(reader.push(line)).toBeUndefined()
    expect(reader.push('"""')).toMatchObject({ kind: 'refused', says: /at most 4,194,304/ })
    expect(reader.push('short')).toEqual(message('short'))
  })
})

// Of letters in 1, 2, 3 and 4 bytes, and all that means something.
const piece = fc.constantFrom('a', ' ', 'é', '世', '😀', '"', '"""', '\\', '/', '\n', '\r\n')
const text = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''))
const cuts = fc.array(fc.nat(200), { maxLength: 8 })

function cutUp(bytes: Buffer, at: readonly number[]): Buffer[] {
  const places = [0, ...at.map((each) => Math.min(each, bytes.length)), bytes.length]
  places.sort((a, b) => a - b)
  return places
    .slice(1)
    .map((end, index) => bytes.subarray(places[index], end))
    .filter(({ length }) => length > 0)
}

describe('however the bytes come', () => {
  it('a pipe has the same messages', async () => {
    const messagesOf = async (pieces: Buffer[]) => {
      const stdin = Readable.from(pieces, { objectMode: false })
      const messages: string[] = []
      for await (const each of pipedMessages(stdin, new AbortController().signal)) {
        messages.push(each)
      }
      return messages
    }
    await fc.assert(
      fc.asyncProperty(text, cuts, async (whole, at) => {
        const bytes = Buffer.from(whole)
        expect(await messagesOf(cutUp(bytes, at))).toEqual(await messagesOf([bytes]))
      }),
    )
  })

  const typed = fc.oneof(
    text.map((each) => each.replace(/\r?\n/g, '\r')),
    // A terminal marks what is pasted.
    text.map((each) => `\u001b[200~${each.replace(/\r?\n/g, '\r')}\u001b[201~`),
  )
  const session = fc.array(typed, { maxLength: 4 }).map((parts) => `${parts.join('')}\r"""\r\r`)

  it('a terminal has the same messages', async () => {
    const entriesOf = async (pieces: Buffer[]) => {
      const io = stage({ tty: true })
      const ignore = () => {}
      const typing = new TypedMessages(io, {
        ...{ screen: io.stdout, history: [], onKept: ignore, onLine: ignore },
        ...{ onInterrupt: ignore, onEnd: ignore },
      })
      for (const each of pieces) io.stdin.write(each)
      io.stdin.end()
      const entries: Entry[] = []
      for (let next = await typing.next(); next !== undefined; next = await typing.next()) {
        const { isShown: _, ...entry } = next
        entries.push(entry)
      }
      return entries
    }
    await fc.assert(
      fc.asyncProperty(session, cuts, async (whole, at) => {
        const bytes = Buffer.from(whole)
        expect(await entriesOf(cutUp(bytes, at))).toEqual(await entriesOf([bytes]))
      }),
      { numRuns: 60 },
    )
  })

  it('refuses a line that never ends', async () => {
    const stdin = new PassThrough()
    const first = pipedMessages(stdin, new AbortController().signal).next()
    stdin.write('x'.repeat(MESSAGE_CHARS_MAX + 1))
    await expect(first).rejects.toThrow(/at most 4,194,304 characters/)
  })
})
