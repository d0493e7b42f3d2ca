import type { LlamaModel } from 'node-llama-cpp'
import { InvalidError, PeerError } from '../../../base/errors.ts'
import type { ChatWork, CompletionWork, Sampling } from '../../../wire/job.ts'
import type { ChatPrompt } from './chat-prompt.ts'
import { BAN } from './sampler.ts'

export interface JobInputComponents {
  model: LlamaModel
  chatPrompt: ChatPrompt
}

export interface JobInputOptions {
  contextLength: number
  vocabularySize: number
}

/** A job's prompts as tokens; throws what is wrong with them. */
export function promptsOf(
  { model, chatPrompt }: JobInputComponents,
  { contextLength, vocabularySize }: JobInputOptions,
  work: ChatWork | CompletionWork,
): Uint32Array[] {
  checkBias(work.sampling, vocabularySize)
  const prompts =
    work.kind === 'chat'
      ? [chatPrompt.tokens(work.messages)]
      : // Who writes a raw prompt may write a template by hand, control tokens included.
        work.prompts.map((prompt) => [...model.tokenize(prompt, true)])
  return prompts.map((tokens, at) => {
    const whole = begun(model, tokens)
    if (whole.length >= contextLength) {
      const field = work.kind === 'chat' ? 'messages' : 'prompt'
      const what = prompts.length === 1 ? 'your prompt' : `prompt[${at}]`
      throw contextLengthExceeded(contextLength, what, whole.length, field)
    }
    return Uint32Array.from(whole)
  })
}

/** One token of the context is the answer's. */
export function contextLengthExceeded(
  contextLength: number,
  what: string,
  tokens: number,
  param: string,
): PeerError {
  const hint = tokens === contextLength ? ', which leaves no room for an answer' : ''
  return new PeerError(
    'context_length_exceeded',
    `This model's context is ${contextLength} tokens; ${what} has ${tokens}${hint}. Shorten it.`,
    { param },
  )
}

/** With the token that begins every text of this model, unless its template wrote it already. */
function begun(model: LlamaModel, tokens: number[]): number[] {
  const { bos, eos, shouldPrependBosToken } = model.tokens
  const first = bos ?? eos
  if (shouldPrependBosToken && bos !== null && tokens[0] !== bos) return [bos, ...tokens]
  // Nothing was written before an empty prompt either, and nothing cannot be computed.
  return tokens.length === 0 && first !== null ? [first] : tokens
}

function checkBias({ logitBias }: Sampling, vocabularySize: number): void {
  const beyond = logitBias.find(([token]) => token >= vocabularySize || token < 0)
  if (beyond !== undefined) {
    throw new InvalidError(
      'logit_bias',
      `logit_bias names token ${beyond[0]}; this model's tokens are 0 to ${vocabularySize - 1}.`,
    )
  }
  const banned = new Set(logitBias.flatMap(([token, bias]) => (bias <= BAN ? [token] : [])))
  if (banned.size >= vocabularySize) {
    throw new InvalidError('logit_bias', 'logit_bias bans every token of this model. Ban fewer.')
  }
}
