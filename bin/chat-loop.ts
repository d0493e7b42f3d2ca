import type { Conversation } from './conversation.ts'
import { exitCodes, type Io, print, UsageError } from './io.ts'
import { pipedMessages, wholeText } from './piped-messages.ts'
import { hasFailed, showAnswer } from './show-answer.ts'
import { paintFor } from './text.ts'

export interface ChatLoopOptions {
  json: boolean
  /** In front of what comes from stdin. */
  prompt?: string
  /** What comes from stdin: one message, many, or nothing that is to be read. */
  stdin: 'whole' | 'lines' | 'unread'
}

/** Asks what the command line and a pipe say. Of the answers alone stdout is written. */
export async function chatLoop(
  conversation: Conversation,
  io: Io,
  options: ChatLoopOptions,
): Promise<number> {
  let hasLeftOut = false
  for await (const text of messages(io, options)) {
    const { leftOut } = await showAnswer(conversation, { text }, io, options.json)
    // `yes | pinaivu-peer chat --lines | head -2`: nobody would read the next answer.
    if (io.signal.aborted || hasFailed(io.stdout)) return exitCodes.failed
    if (leftOut > 0 && !hasLeftOut) {
      print(io.stderr, paintFor(io.stderr, io.env)('dim', leftOutText(leftOut)))
    }
    hasLeftOut ||= leftOut > 0
  }
  return io.signal.aborted ? exitCodes.failed : exitCodes.done
}

async function* messages(
  { stdin, signal }: Io,
  { prompt, stdin: mode }: ChatLoopOptions,
): AsyncGenerator<string> {
  if (mode === 'lines') {
    if (prompt !== undefined) yield prompt
    yield* pipedMessages(stdin, signal)
    return
  }
  const piped = mode === 'whole' ? await wholeText(stdin, signal) : ''
  const parts = [prompt ?? '', piped].filter((part) => part.trim() !== '')
  if (parts.length > 0) yield parts.join('\n\n')
  else
    throw new UsageError('There is nothing to ask: write a question to stdin, or behind the model.')
}

export const leftOutText = (count: number): string =>
  `(The context is full: the model is no longer given the oldest ${count} of the answers and their ` +
  'questions. They are still here.)'
