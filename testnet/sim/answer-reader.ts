import { createHash } from 'node:crypto'
import type { Chunk, Done, Tokens } from '../../src/simulation.ts'
import type { RequestPlan } from './plan-requests.ts'
import { answerTo, promptTokens, type ScriptedToken } from './script.ts'

/** Holds what comes of an answer against what the model was to say. */
export class AnswerReader {
  readonly #plan: RequestPlan
  readonly #answers: ScriptedToken[][]
  /** Tokens of each choice that have come. */
  readonly #received: number[]
  #isOver = false

  constructor(plan: RequestPlan) {
    this.#plan = plan
    this.#answers = Array.from({ length: plan.choices }, (_, choice) =>
      answerTo({ model: plan.model, prompt: plan.prompt, seed: plan.seed, choice }),
    )
    this.#received = this.#answers.map(() => 0)
  }

  get received(): number {
    return this.#received.reduce((sum, count) => sum + count, 0)
  }

  get hasBegun(): boolean {
    return this.received > 0
  }

  /** SHA-256 of what has come of a single answer. */
  digest(): Buffer {
    const [answer = []] = this.#answers
    const [count = 0] = this.#received
    return createHash('sha256')
      .update(textOf(answer.slice(0, count)))
      .digest()
  }

  /** Returns what is wrong with it. */
  read(chunk: Chunk): string | undefined {
    if (this.#isOver) return `${chunk.type} after the end`
    if (chunk.type === 'tokens') return this.#tokens(chunk)
    return chunk.type === 'done' ? this.#done(chunk) : undefined
  }

  #tokens({ choice, index, ids, text }: Tokens): string | undefined {
    const answer = this.#answers[choice]
    const at = this.#received[choice]
    if (answer === undefined || at === undefined) return `there is no choice ${choice}`
    if (index !== at) return `token ${index} of choice ${choice} comes after ${at} of them`
    const said = answer.slice(at, at + ids.length)
    this.#received[choice] = at + ids.length
    if (said.length < ids.length) return `choice ${choice} goes on behind its end`
    if (said.some(({ id }, position) => id !== ids[position])) return `other ids from ${index} on`
    return text === textOf(said) ? undefined : `"${text}" instead of "${textOf(said)}"`
  }

  #done({ finish, usage }: Done): string | undefined {
    this.#isOver = true
    const { maxTokens, prompt } = this.#plan
    if (usage.outputTokens !== this.received) {
      return `${usage.outputTokens} tokens are counted, and ${this.received} came`
    }
    if (finish.includes('cancelled')) return undefined
    if (usage.inputTokens !== promptTokens(prompt)) return `a prompt of ${usage.inputTokens} tokens`
    for (const [choice, answer] of this.#answers.entries()) {
      const end = Math.min(answer.length, maxTokens ?? answer.length)
      if (this.#received[choice] !== end) return `choice ${choice} has not all of its ${end} tokens`
      const reason = answer.length > end ? 'length' : 'stop'
      if (finish[choice] !== reason) return `choice ${choice} ends with ${finish[choice]}`
    }
    return undefined
  }
}

const textOf = (tokens: readonly ScriptedToken[]): string => tokens.map(({ text }) => text).join('')
