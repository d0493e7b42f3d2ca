import { messageOf, PeerError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Chunk, Done, Finish, TokenLogprob, Tokens, Usage } from '../../wire/chunk.ts'
import { answerTo, openAiError } from '../error-answer.ts'
import type { SseWriter } from '../sse.ts'

/** How one endpoint writes the parts of a streamed answer down. */
export interface StreamDialect {
  tokens(chunk: Tokens): object[]
  /** What ends choice `index`. */
  finish(index: number, reason: Reason): object[]
  /** The chunk without choices; undefined when the client did not ask for it. */
  usage(usage: Usage): object | undefined
}

export type Reason = 'stop' | 'length'

/** The answer as events. An error before the first event is thrown; after it, it is the last event. */
export async function streamAnswer(
  chunks: AsyncIterable<Chunk>,
  { writer, logger, requestId }: { writer: SseWriter; logger: Logger; requestId: string },
  dialect: StreamDialect,
): Promise<void> {
  try {
    for await (const chunk of chunks) {
      if (chunk.type === 'tokens') for (const event of dialect.tokens(chunk)) writer.send(event)
      if (chunk.type === 'done') {
        const events = chunk.finish.flatMap((finish, index) =>
          dialect.finish(index, toReason(finish)),
        )
        const usage = dialect.usage(chunk.usage)
        for (const event of usage === undefined ? events : [...events, usage]) writer.send(event)
        writer.done()
      }
      if (writer.full) await writer.drained()
    }
  } catch (error) {
    if (!writer.opened) throw error
    const answer = answerTo(error)
    const level = answer.expected ? 'info' : 'error'
    logger[level]('a stream was cut', { requestId, code: answer.code, cause: messageOf(error) })
    writer.send(openAiError(answer, requestId))
    writer.close()
  }
}

/** One choice of an answer that is sent as a whole. */
export interface Choice {
  text: string
  logprobs: TokenLogprob[]
  reason: Reason
}

export interface Answer {
  choices: Choice[]
  usage: Usage
}

export async function collectAnswer(chunks: AsyncIterable<Chunk>): Promise<Answer> {
  const texts: string[][] = []
  const logprobs: TokenLogprob[][] = []
  let done: Done | undefined
  for await (const chunk of chunks) {
    if (chunk.type === 'done') done = chunk
    if (chunk.type !== 'tokens') continue
    texts[chunk.choice] ??= []
    texts[chunk.choice]?.push(chunk.text)
    logprobs[chunk.choice] ??= []
    logprobs[chunk.choice]?.push(...(chunk.logprobs ?? []))
  }
  if (done === undefined) throw cutShort()
  const choices = done.finish.map((finish, index) => ({
    text: (texts[index] ?? []).join(''),
    logprobs: logprobs[index] ?? [],
    reason: toReason(finish),
  }))
  return { choices, usage: done.usage }
}

function toReason(finish: Finish): Reason {
  if (finish === 'cancelled') throw cutShort()
  return finish
}

const cutShort = () => new PeerError('engine_failed', 'The answer ended too early. Ask again.')

export function toUsage(usage: Usage) {
  return {
    prompt_tokens: usage.inputTokens,
    completion_tokens: usage.outputTokens,
    total_tokens: usage.inputTokens + usage.outputTokens,
    prompt_tokens_details: { cached_tokens: usage.cachedTokens },
    completion_tokens_details: { reasoning_tokens: 0 },
  }
}
