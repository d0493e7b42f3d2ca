/** One question and its answer. */
export interface Turn {
  question: string
  answer: string
  /** Who it was asked of. */
  model: string
  /** The answer was stopped, or its connection broke. */
  isCut: boolean
  requestId?: string | undefined
  receipt?: AnswerReceipt | undefined
  /** Of all that the model was given and wrote: a measure for what texts of this kind take. */
  tokensPerByte?: number | undefined
}

/** What an answer says of its receipt. */
export interface AnswerReceipt {
  cid: string
  prompt_nonce?: string
}

/** What a model has room for. */
export interface Room {
  /** In tokens; undefined while nobody knows it. */
  contextLength: number | undefined
  maxTokens: number | undefined
}

/** Around each message, in the chat templates of all models known. */
const FRAME_TOKENS = 8
/** Of texts that were never counted. */
const TOKENS_PER_BYTE = 1 / 3
const MARGIN = 1.1

/**
 * The turns that a model is given, the oldest first: the newest that there is room for, and none
 * from before one that is left out. What the model is told beforehand and the new question
 * are always given. A quarter of the context is kept for the answer, or as much as --max-tokens says,
 * but no more than half. It is the rule of the sessions of /api/v1.
 */
export function keptTurns(
  turns: readonly Turn[],
  { system, question }: { system: string | undefined; question: string },
  { contextLength, maxTokens }: Room,
): readonly Turn[] {
  if (contextLength === undefined) return turns
  const forAnswer = Math.min(maxTokens ?? contextLength / 4, contextLength / 2)
  const counted = turns.findLast(({ tokensPerByte }) => tokensPerByte !== undefined)
  const perByte = MARGIN * (counted?.tokensPerByte ?? TOKENS_PER_BYTE)
  const tokensOf = (...texts: string[]) =>
    texts.reduce((sum, text) => sum + Buffer.byteLength(text) * perByte + FRAME_TOKENS, 0)
  let left = contextLength - forAnswer - tokensOf(system ?? '', question)
  let first = turns.length
  for (const turn of turns.toReversed()) {
    left -= tokensOf(turn.question, turn.answer)
    if (left < 0) break
    first -= 1
  }
  return turns.slice(first)
}

/** For a model that found them too long all the same. */
export const newerHalf = (turns: readonly Turn[]): readonly Turn[] =>
  turns.slice(Math.ceil(turns.length / 2))
