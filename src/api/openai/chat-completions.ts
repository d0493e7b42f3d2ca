import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Random } from '../../base/random.ts'
import type { RouteModule } from '../route.ts'
import { type StreamDialect, toUsage } from './answer.ts'
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
} from './generation.ts'
import { toChatLogprobs } from './logprobs.ts'
import { obfuscation } from './obfuscation.ts'
import { responder, type Wording } from './respond.ts'
import type { StreamWishes } from './sampling.ts'
import { v8Event } from './v8-schema.ts'

/** `POST /chat/completions` */
export function chatRoutes(
  components: GenerationComponents,
  options: GenerationOptions = defaultGeneration,
): RouteModule {
  const answer = chatHandler(components, options)
  return (app) => {
    app.post<{ Body: ChatRequest }>(
      '/chat/completions',
      {
        schema: {
          summary: 'Answer a conversation, as a whole or as a stream of chunks',
          tags: ['OpenAI'],
          body: chatRequest,
          response: { 200: eitherWay(chatResponse, chatChunk, v8Event) },
          sdk:
            "const completion = await client.chat.completions.create({\n  model: 'pinaivu-demo',\n" +
            "  messages: [{ role: 'user', content: 'Hello!' }],\n})",
        },
        config: { access: 'inference', idempotent: 'work' },
      },
      answer,
    )
  }
}

/** Answers a conversation that comes whole, on whichever surface. */
export function chatHandler(components: GenerationComponents, options: GenerationOptions) {
  const { random } = components
  const respond = responder(components, options)
  return async (
    request: FastifyRequest<{ Body: ChatRequest }>,
    reply: FastifyReply,
  ): Promise<object> => {
    const { body } = request
    return respond(request, reply, toChatWork(body, random), chatWording(body, random))
  }
}

function chatWording({ logprobs: scored }: ChatRequest, random: Random): Wording {
  return {
    idPrefix: 'chatcmpl',
    whole: ({ choices, usage }, envelope): ChatResponse => ({
      ...envelope,
      object: 'chat.completion',
      choices: choices.map(({ text, logprobs, reason }, index) => ({
        index,
        message: { role: 'assistant', content: text, refusal: null },
        logprobs: scored === true ? toChatLogprobs(logprobs) : null,
        finish_reason: reason,
      })),
      usage: toUsage(usage),
    }),
    stream: (wishes, envelope) => chatDialect(wishes, envelope, random),
  }
}

type ChunkChoice = ChatChunk['choices'][number]

function chatDialect(
  wishes: StreamWishes,
  envelope: () => Envelope,
  random: Random,
): StreamDialect {
  const chunk = (choices: ChunkChoice[]): ChatChunk => ({
    ...envelope(),
    object: 'chat.completion.chunk',
    choices,
    // OpenAI announces the last chunk's usage by a null in those before it.
    ...(wishes.usage ? { usage: null } : {}),
  })
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
