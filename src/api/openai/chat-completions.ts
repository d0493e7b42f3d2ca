import type { FastifyRequest } from 'fastify'
import { newId } from '../../base/ids.ts'
import type { Random } from '../../base/random.ts'
import type { Chunk } from '../../wire/chunk.ts'
import type { Job } from '../../wire/job.ts'
import { clientSignal } from '../client-signal.ts'
import type { RouteModule } from '../route.ts'
import { SseWriter } from '../sse.ts'
import { collectAnswer, type StreamDialect, streamAnswer, toUsage } from './answer.ts'
import { toChatWork } from './chat-job.ts'
import {
  type ChatChunk,
  type ChatRequest,
  type ChatResponse,
  chatChunk,
  chatRequest,
  chatResponse,
} from './chat-schema.ts'
import { eitherWay } from './fields.ts'
import {
  defaultGeneration,
  type Envelope,
  type GenerationComponents,
  type GenerationOptions,
  toEnvelope,
} from './generation.ts'
import { toChatLogprobs } from './logprobs.ts'
import { chooseModel } from './model-choice.ts'
import { obfuscation } from './obfuscation.ts'
import { patient } from './patience.ts'
import { type StreamWishes, toStreamWishes } from './sampling.ts'

/** `POST /chat/completions` */
export function chatRoutes(
  components: GenerationComponents,
  options: GenerationOptions = defaultGeneration,
): RouteModule {
  const generate = patient(components.engine.generate, components, options)
  return (app) => {
    app.post<{ Body: ChatRequest }>(
      '/chat/completions',
      {
        schema: {
          summary: 'Answer a conversation, as a whole or as a stream of chunks',
          tags: ['OpenAI'],
          body: chatRequest,
          response: { 200: eitherWay(chatResponse, chatChunk) },
        },
        config: { access: 'inference' },
      },
      async (request, reply) => {
        const wishes = toStreamWishes(request.body)
        const chunks = generate(toJob(request, components), { signal: clientSignal(reply) })
        const envelope = () => toEnvelope('chatcmpl', request, components)
        if (wishes === undefined) return whole(request.body, chunks, envelope)
        const writer = new SseWriter({ clock: components.clock, reply }, options)
        const dialect = chatDialect(wishes, envelope, components.random)
        await streamAnswer(
          chunks,
          { writer, logger: components.logger, requestId: request.id },
          dialect,
        )
        return reply
      },
    )
  }
}

function toJob(
  request: FastifyRequest<{ Body: ChatRequest }>,
  { engine, clock, random }: GenerationComponents,
): Job {
  return {
    id: newId('job', clock, random),
    model: chooseModel(engine, request.body.model, 'chat').name,
    work: toChatWork(request.body, random),
    cacheScope: request.principal.account,
  }
}

async function whole(
  body: ChatRequest,
  chunks: AsyncIterable<Chunk>,
  envelope: () => Envelope,
): Promise<ChatResponse> {
  const { choices, usage } = await collectAnswer(chunks)
  return {
    ...envelope(),
    object: 'chat.completion',
    choices: choices.map(({ text, logprobs, reason }, index) => ({
      index,
      message: { role: 'assistant', content: text, refusal: null },
      logprobs: body.logprobs === true ? toChatLogprobs(logprobs) : null,
      finish_reason: reason,
    })),
    usage: toUsage(usage),
  }
}

type ChunkChoice = ChatChunk['choices'][number]

function chatDialect(
  wishes: StreamWishes,
  envelope: () => Envelope,
  random: Random,
): StreamDialect {
  let head: Envelope | undefined
  const chunk = (choices: ChunkChoice[]): ChatChunk => {
    head ??= envelope()
    return {
      ...head,
      object: 'chat.completion.chunk',
      choices,
      // OpenAI announces the last chunk's usage by a null in those before it.
      ...(wishes.usage ? { usage: null } : {}),
    }
  }
  const begun = new Set<number>()
  const opening = (index: number): ChatChunk[] => {
    if (begun.has(index)) return []
    begun.add(index)
    const delta = { role: 'assistant', content: '', refusal: null } as const
    return [chunk([{ index, delta, logprobs: null, finish_reason: null }])]
  }
  return {
    tokens({ choice: index, text, logprobs }) {
      if (text === '' && logprobs === undefined) return opening(index)
      const scores = logprobs === undefined ? null : toChatLogprobs(logprobs)
      const content = chunk([
        { index, delta: { content: text }, logprobs: scores, finish_reason: null },
      ])
      if (wishes.obfuscation) content.obfuscation = obfuscation(text, random)
      return [...opening(index), content]
    },
    finish: (index, reason) => [
      ...opening(index),
      chunk([{ index, delta: {}, logprobs: null, finish_reason: reason }]),
    ],
    usage: (usage) => (wishes.usage ? { ...chunk([]), usage: toUsage(usage) } : undefined),
  }
}
