import { addAbortSignal, type Readable } from 'node:stream'
import { CommandError, UsageError } from './io.ts'
import { MESSAGE_CHARS_MAX, MessageReader } from './message-reader.ts'

/** Everything that comes, as one text. */
export async function wholeText(stdin: Readable, signal: AbortSignal): Promise<string> {
  let text = ''
  for await (const piece of textOf(stdin, signal)) {
    text += piece
    if (text.length > MESSAGE_CHARS_MAX) throw tooLong()
  }
  return text.trimEnd()
}

/** What comes, message by message: each is a line, or as many as its quotes or backslashes say. */
export async function* pipedMessages(stdin: Readable, signal: AbortSignal): AsyncGenerator<string> {
  const reader = new MessageReader({ commands: false })
  let pending = ''
  for await (const piece of textOf(stdin, signal)) {
    const lines = (pending + piece).split('\n')
    pending = lines.pop() ?? ''
    if (pending.length > MESSAGE_CHARS_MAX) throw tooLong()
    for (const line of lines) yield* messageOf(reader.push(line.replace(/\r$/, '')))
  }
  yield* messageOf(pending === '' ? undefined : reader.push(pending.replace(/\r$/, '')))
  yield* messageOf(reader.end())
}

function* messageOf(entry: ReturnType<MessageReader['push']>): Generator<string> {
  if (entry === undefined) return
  if (entry.kind === 'refused') throw new CommandError(entry.says)
  yield entry.text
}

async function* textOf(stdin: Readable, signal: AbortSignal): AsyncGenerator<string> {
  const utf8 = new TextDecoder('utf-8', { fatal: true })
  const read = (bytes?: Uint8Array) => {
    try {
      return bytes === undefined ? utf8.decode() : utf8.decode(bytes, { stream: true })
    } catch (cause) {
      throw new UsageError('What comes from stdin is no text in UTF-8.', { cause })
    }
  }
  for await (const bytes of addAbortSignal(signal, stdin)) yield read(bytes)
  yield read()
}

const tooLong = () =>
  new CommandError(
    `A message has at most ${MESSAGE_CHARS_MAX.toLocaleString('en')} characters; stdin has more.`,
  )
