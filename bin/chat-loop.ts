import type { Conversation } from './conversation.ts'
import { exitCodes, type Io, print } from './io.ts'
import { hasFailed, showAnswer } from './show-answer.ts'
import { paintFor } from './text.ts'

export interface ChatLoopOptions {
  json: boolean
  questions: Iterable<string> | AsyncIterable<string>
}

/** Asks what the command line and a pipe say. Of the answers alone stdout is written. */
export async function chatLoop(
  conversation: Conversation,
  io: Io,
  { json, questions }: ChatLoopOptions,
): Promise<number> {
  let hasLeftOut = false
  for await (const text of questions) {
    const { leftOut } = await showAnswer(conversation, { text }, io, json)
    // `yes | pinaivu-peer chat --lines | head -2`: nobody would read the next answer.
    if (io.signal.aborted || hasFailed(io.stdout)) return exitCodes.failed
    if (leftOut > 0 && !hasLeftOut) {
      print(io.stderr, paintFor(io.stderr, io.env)('dim', leftOutText(leftOut)))
    }
    hasLeftOut ||= leftOut > 0
  }
  return io.signal.aborted ? exitCodes.failed : exitCodes.done
}

export function leftOutText(count: number): string {
  const oldest = count === 1 ? 'oldest answer and its question' : `${count} oldest answers`
  return `(The context is full: the model is no longer given the ${oldest}, and more as it goes on.)`
}
