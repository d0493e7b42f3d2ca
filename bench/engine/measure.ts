import { words } from '../../test/gguf/vocabulary.ts'
import type { Contestant } from './contestant.ts'

export interface Round {
  streams: number
  promptTokens: number
  answerTokens: number
}

export interface Measured {
  /** Of all streams together, while all of them decode. */
  tokensPerSecond: number
  /** From the question to the first token, one for each stream. */
  firstTokenMs: number[]
}

interface Arrival {
  at: number
  tokens: number
}

/** Questions so far: no two begin alike, so that no cache can help. */
let asked = 0

/** Asks all at once, and reads all answers to their end. */
export async function measure(contestant: Contestant, round: Round): Promise<Measured> {
  const begin = performance.now()
  const streams = await Promise.all(
    Array.from({ length: round.streams }, () => read(contestant, round, begin)),
  )
  const firstTokenMs = streams.map((arrivals) => arrivals[0]?.at ?? Number.NaN)
  const from = Math.max(...firstTokenMs)
  const to = Math.min(...streams.map((arrivals) => arrivals.at(-1)?.at ?? Number.NaN))
  const between = streams.flat().filter(({ at }) => at > from && at <= to)
  const tokens = between.reduce((sum, arrival) => sum + arrival.tokens, 0)
  return { tokensPerSecond: tokens / ((to - from) / 1000), firstTokenMs }
}

async function read(contestant: Contestant, round: Round, begin: number): Promise<Arrival[]> {
  const arrivals: Arrival[] = []
  const prompt = question(round.promptTokens)
  for await (const tokens of contestant.answer({ prompt, tokens: round.answerTokens })) {
    arrivals.push({ at: performance.now() - begin, tokens })
  }
  const total = arrivals.reduce((sum, arrival) => sum + arrival.tokens, 0)
  if (total !== round.answerTokens) {
    throw new Error(`${contestant.name} answered ${total} tokens, not ${round.answerTokens}`)
  }
  return arrivals
}

const NUMBER_DIGITS = 5

/** A number of its own, each digit a token, and words of one token each. */
function question(tokens: number): string {
  const number = ++asked
  const length = tokens - NUMBER_DIGITS
  const text = Array.from({ length }, (_, n) => words[(number * 31 + n) % words.length])
  return [String(number).padStart(NUMBER_DIGITS, '0'), ...text].join(' ')
}
