import type { Message } from '../../wire/job.ts'
import { bytesOf, type ChatTurn } from './session-record.ts'

/**
 * What of a long conversation a model is given.
 *
 * The instructions come first and the new message last, always. Between them stand as many of the
 * turns as there is room for: the newest, each with both of its sides, and none from before one that
 * is left out. A quarter of the model's context is kept for the answer, or as much as the request's
 * `max_tokens` says, but no more than half. How many tokens a text has is reckoned from what the last
 * turn had, in tokens and in bytes, and a tenth added. A model that finds it too long all the same
 * is asked again with the newer half of the turns, until none is left.
 */
export interface Room {
  /** Of the model; undefined while nobody knows it. */
  contextLength: number | undefined
  maxTokens: number | undefined
}

export interface Said {
  instructions: string | null
  message: string
}

/** Of a model that was not loaded here yet. */
const CONTEXT_LENGTH = 131_072
/** Around each message, in the chat templates of all models known. */
const FRAME_TOKENS = 8
/** One turn is two messages, and a job has a limit of those. */
const TURNS_MAX = 2_000
/** No token is shorter than a byte; none that is much longer than this is frequent. */
const TOKENS_PER_BYTE = { min: 1 / 8, max: 1 }
const MARGIN = 1.1

/** The turns that are kept, the oldest first. `newestFirst` is read only as far as needed. */
export async function keptTurns(
  newestFirst: AsyncIterable<ChatTurn>,
  { instructions, message }: Said,
  { contextLength = CONTEXT_LENGTH, maxTokens }: Room,
): Promise<ChatTurn[]> {
  const forAnswer = Math.min(maxTokens ?? contextLength / 4, contextLength / 2)
  const fixed = Buffer.byteLength(instructions ?? '') + Buffer.byteLength(message)
  const kept: ChatTurn[] = []
  let tokensPerByte = 0
  let left = contextLength - forAnswer - 2 * FRAME_TOKENS
  for await (const turn of newestFirst) {
    if (tokensPerByte === 0) {
      tokensPerByte = rateOf(turn)
      left -= fixed * tokensPerByte
    }
    left -= bytesOf(turn) * tokensPerByte + 2 * FRAME_TOKENS
    if (left < 0 || kept.length === TURNS_MAX) break
    kept.push(turn)
  }
  return kept.reverse()
}

function rateOf(turn: ChatTurn): number {
  const { inputTokens, outputTokens, content } = turn.assistant
  const bytes = turn.promptBytes + Buffer.byteLength(content)
  const rate = bytes === 0 ? 0 : (MARGIN * (inputTokens + outputTokens)) / bytes
  return Math.min(TOKENS_PER_BYTE.max, Math.max(TOKENS_PER_BYTE.min, rate))
}

/** The newer half, for a model that found it too long. */
export const newerHalf = (turns: readonly ChatTurn[]): readonly ChatTurn[] =>
  turns.slice(Math.ceil(turns.length / 2))

/** What the model is given. */
export function messagesOf(turns: readonly ChatTurn[], { instructions, message }: Said): Message[] {
  const system: Message[] = instructions === null ? [] : [{ role: 'system', content: instructions }]
  const said = turns.flatMap(({ user, assistant }): Message[] => [
    { role: 'user', content: user.content },
    { role: 'assistant', content: assistant.content },
  ])
  return [...system, ...said, { role: 'user', content: message }]
}
