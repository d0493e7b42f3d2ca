import { describe, expect, it } from 'vitest'
import { MESSAGE_CHARS_MAX } from '../../bin/message-reader.ts'
import { type TypedEntry, TypedMessages } from '../../bin/typed-messages.ts'
import { stage } from './stage.ts'

const esc = '\u001b'
const enter = '\r'
const pasted = (text: string): string => `${esc}[200~${text}${esc}[201~`

/** A person at a terminal, and what became of it. */
function terminal() {
  const io = stage({ tty: true })
  const heard: string[] = []
  const typing = new TypedMessages(io, {
    ...{ screen: io.stdout, history: [] },
    onKept: (line) => heard.push(`kept ${line}`),
    onLine: () => {},
    onInterrupt: () => heard.push('interrupt'),
    onEnd: () => heard.push('end'),
  })
  typing.prompt()
  const message = async () => ((await typing.next()) as TypedEntry & { text: string }).text
  return { io, typing, heard, message }
}

describe('what is pasted', () => {
  it('may be as long as a message, in one line', async () => {
    const { io, message } = terminal()
    const line = 'abcdefghij'.repeat(30_000)
    const begun = performance.now()
    io.stdin.write(pasted(line) + enter)
    expect(await message()).toBe(line)
    // A terminal that marks nothing.
    for (let at = 0; at < 50_000; at += 4095) io.stdin.write(line.slice(at, at + 4095))
    io.stdin.write(enter)
    expect((await message()).slice(0, 50_000)).toBe(line.slice(0, 50_000))
    // Taken for keys, it was minutes.
    expect(performance.now() - begun).toBeLessThan(10_000)
  })

  it('is as many messages as lines where nothing marks it', async () => {
    const { io, message } = terminal()
    const lines = ['a'.repeat(300), 'b'.repeat(300), 'c']
    io.stdin.write(`${lines.join('\r\n')}${enter}`)
    for (const line of lines) expect(await message()).toBe(line)
  })

  it('is refused where it is longer, and what follows is not', async () => {
    const { io, typing, message } = terminal()
    io.stdin.write(`${esc}[200~`)
    for (let at = 0; at <= MESSAGE_CHARS_MAX; at += 65_536) io.stdin.write('x'.repeat(65_536))
    io.stdin.write(`${esc}[201~${enter}`)
    expect(await typing.next()).toMatchObject({ kind: 'refused' })
    io.stdin.write(`after${enter}`)
    expect(await message()).toBe('after')
  })

  it('is obeyed by nobody', async () => {
    const { io, heard, message } = terminal()
    io.stdin.write(`${pasted('a\u0003b\u0004\u0015c\u0001d\u001b[A\u001b[31m\te')}${enter}`)
    expect(await message()).toBe('a␃b␄␕c␁d␛[A␛[31m\te')
    expect(heard).toEqual([])
  })

  it('goes on where something was typed, and something is typed behind it', async () => {
    const { io, message } = terminal()
    io.stdin.write(`so ${pasted(`one\r\ntwo\rthr`)}ee${enter}`)
    expect(await message()).toBe('so one\ntwo\nthree')
    io.stdin.write(`${pasted('/bye')}${enter}`)
    expect(await message()).toBe('/bye')
  })

  it('is left with Ctrl-C where its end never came', async () => {
    const { io, heard, typing, message } = terminal()
    io.stdin.write(`${esc}[200~and so on`)
    io.stdin.write('\u0003')
    expect(heard).toEqual(['interrupt'])
    typing.drop()
    io.stdin.write(`next${enter}`)
    expect(await message()).toBe('next')
  })
})

it('a terminal that is gone ends it', async () => {
  const { io, typing, heard } = terminal()
  io.stdin.destroy(new Error('EIO'))
  expect(await typing.next()).toBeUndefined()
  expect(heard).toEqual(['end'])
})
