import type { ChatWork, CompletionWork, Sampling } from '../../wire/job.ts'
import { chatRequest } from './chat-request.ts'
import type { ServerKind } from './server-kind.ts'
import { unsupported } from './upstream-errors.ts'

/** One answer is asked for at a time: not every server does several, and none of them says so. */
export interface Lane {
  /** Of the job. */
  choice: number
  /** Which prompt it answers. */
  prompt: number
}

export interface AskedOf {
  /** As the server calls it. */
  model: string
  server: ServerKind
  /** Keeps the prompts of one account from telling another one by their time that they were asked before. */
  cacheSalt(): string
}

export type TextWork = ChatWork | CompletionWork

/** Seeds of 31 bits are taken everywhere, and llama-server draws one of its own for the largest of 32. */
const SEED_MASK = 0x7fffffff
/** None at all is refused by vLLM; of so few, the first token alone is left. */
const TOP_P_MIN = 1e-6

export function lanesOfWork(work: TextWork): Lane[] {
  const { choices } = work.sampling
  const prompts = work.kind === 'chat' ? 1 : work.prompts.length
  return Array.from({ length: prompts * choices }, (_, choice) => ({
    choice,
    prompt: Math.floor(choice / choices),
  }))
}

/** As the server's OpenAI-compatible endpoint takes it. Throws for what it is known to pass over. */
export function requestBody(work: TextWork, lane: Lane, asked: AskedOf): string {
  const { server, model, cacheSalt } = asked
  const { sampling } = work
  const at = lane.choice % sampling.choices
  if (sampling.logitBias.length > 0 && !server.takesLogitBias) throw unsupported('logit_bias')
  if (sampling.logprobs !== undefined && !server.givesLogprobs) throw unsupported('logprobs')
  const said =
    work.kind === 'chat' ? chatRequest(work, server) : { prompt: work.prompts[lane.prompt] }
  return JSON.stringify({
    model,
    ...said,
    ...optionsOf(sampling, at),
    ...(sampling.logprobs === undefined ? {} : scoresOf(work.kind, sampling.logprobs)),
    stream: true,
    stream_options: { include_usage: true, ...server.streamOptions },
    ...server.options,
    ...(server.takesCacheSalt && { cache_salt: cacheSalt() }),
  })
}

function optionsOf(sampling: Sampling, at: number): object {
  const { temperature, topP, seed, maxTokens, stop, logitBias } = sampling
  const { presencePenalty, frequencyPenalty } = sampling
  return {
    temperature,
    top_p: Math.max(TOP_P_MIN, topP),
    seed: (seed + at) & SEED_MASK,
    ...(maxTokens === undefined ? {} : { max_tokens: maxTokens }),
    ...(stop.length === 0 ? {} : { stop }),
    // What is as it is anyway need not be understood.
    ...(presencePenalty === 0 ? {} : { presence_penalty: presencePenalty }),
    ...(frequencyPenalty === 0 ? {} : { frequency_penalty: frequencyPenalty }),
    ...(logitBias.length === 0 ? {} : { logit_bias: Object.fromEntries(logitBias) }),
  }
}

const scoresOf = (kind: TextWork['kind'], top: number): object =>
  kind === 'chat' ? { logprobs: true, top_logprobs: top } : { logprobs: top }
