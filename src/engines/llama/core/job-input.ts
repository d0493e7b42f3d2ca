import type { LlamaModel } from 'node-llama-cpp'
import { InvalidError, PeerError } from '../../../base/errors.ts'
import type { ChatWork, CompletionWork, Sampling } from '../../../wire/job.ts'
import { type Bound, boundedTokenizer } from './bounded-tokenizer.ts'
import type { ChatPrompt } from './chat-prompt.ts'
import { BAN } from './sampler.ts'
import type { TokenTable } from './token-table.ts'

export interface JobInputComponents {
  model: LlamaModel
  tokens: TokenTable
  chatPrompt: ChatPrompt
}

export interface JobInputOptions {
  contextLength: number
  vocabularySize: number
}

/** A job's prompts as tokens; throws what is wrong with them. */
export function promptsOf(
  { model, tokens, chatPrompt }: JobInputComponents,
  { contextLength, vocabularySize }: JobInputOptions,
  work: ChatWork | CompletionWork,
): Uint32Array[] {
  checkBias(work.sampling, vocabularySize)
  const texts = work.kind === 'chat' ? [work.messages] : work.prompts
  const field = work.kind === 'chat' ? 'messages' : 'prompt'
  return texts.map((text, at) => {
    const what = texts.length === 1 ? 'your prompt' : `prompt[${at}]`
    const tokenize = boundedTokenizer(model.tokenizer, tokens, boundOf(contextLength, what, field))
    const whole = begun(
      model,
      typeof text === 'string'
        ? // Who writes a raw prompt may write a template by hand, control tokens included.
          tokenize(text, true)
        : chatPrompt.tokens(text, tokenize),
    )
    if (whole.length >= contextLength) {
      throw contextLengthExceeded(contextLength, what, whole.length, field)
    }
    return Uint32Array.from(whole)
  })
}

/** How far a prompt that is too long is counted, in contexts, to tell how much to leave out. */
const COUNTED = 4

export function boundOf(contextLength: number, what: string, param: string): Bound {
  const tokensMax = COUNTED * contextLength
  const tooLong = () => contextLengthExceeded(contextLength, what, `more than ${tokensMax}`, param)
  return { tokensMax, tooLong }
}

/** One token of the context is the answer's. */
export function contextLengthExceeded(
  contextLength: number,
  what: string,
  tokens: number | string,
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
