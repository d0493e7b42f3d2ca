import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Random } from '../../base/random.ts'
import { unable } from '../../engines/unable.ts'
import type { CallPlace } from '../../wire/chunk.ts'
import type { FunctionCall } from '../../wire/functions.ts'
import type { Image } from '../../wire/images.ts'
import { takeRoom } from '../body-room.ts'
import { clientSignal } from '../client-signal.ts'
import { ImageFetcher } from '../images/image-fetcher.ts'
import { type AskedImage, isElsewhere, toImages } from '../images/shown-images.ts'
import type { RouteModule } from '../route.ts'
import { type StreamDialect, toUsage } from './answer.ts'
import { askedImages, toChatWork } from './chat-job.ts'
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
import { chooseModel } from './model-choice.ts'
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
  const { random, market, clock } = components
  const { images: fetcher = new ImageFetcher({ clock }) } = components
  const respond = responder(components, options)
  const shown = async (
    body: ChatRequest,
    asked: readonly AskedImage[],
    reply: FastifyReply,
  ): Promise<Image[]> => {
    const signal = clientSignal(reply)
    if (asked.some(isElsewhere)) {
      // Nobody is asked for what no model would see, nor for a request that is refused anyway.
      toChatWork(body, random)
      const { capabilities } = await chooseModel(market, body.model, 'chat', signal)
      if (capabilities?.includes('vision') === false) throw unable('vision')
    }
    return await toImages(asked, holding(fetcher, reply), signal)
  }
  return async (
    request: FastifyRequest<{ Body: ChatRequest }>,
    reply: FastifyReply,
  ): Promise<object> => {
    const { body } = request
    const asked = askedImages(body)
    const images = asked.length === 0 ? [] : await shown(body, asked, reply)
    const work = toChatWork(body, random, images)
    return respond(request, reply, work, chatWording(body, random))
  }
}

/** What is fetched is held for as long as a body that had it in it would be, as base64. */
const holding = (
  fetcher: Pick<ImageFetcher, 'fetch'>,
  reply: FastifyReply,
): Pick<ImageFetcher, 'fetch'> => ({
  fetch: async (url, signal) => {
    const file = await fetcher.fetch(url, signal, reply.request.principal.account)
    takeRoom(reply, Math.ceil((file.length * 4) / 3))
    return file
  },
})

function chatWording({ logprobs: scored }: ChatRequest, random: Random): Wording {
  return {
    idPrefix: 'chatcmpl',
    whole: ({ choices, usage }, envelope): ChatResponse => ({
      ...envelope,
      object: 'chat.completion',
      choices: choices.map(({ text, calls, logprobs, reason }, index) => ({
        index,
        message: toMessage(text, calls),
        logprobs: scored === true ? toChatLogprobs(logprobs) : null,
        finish_reason: reason,
      })),
      usage: toUsage(usage),
    }),
    stream: (wishes, envelope) => chatDialect(wishes, envelope, random),
  }
}

function toMessage(
  text: string,
  calls: readonly FunctionCall[],
): ChatResponse['choices'][number]['message'] {
  if (calls.length === 0) return { role: 'assistant', content: text, refusal: null }
  const content = text === '' ? null : text
  return { role: 'assistant', content, refusal: null, tool_calls: calls.map(toToolCall) }
}

const toToolCall = ({ id, name, arguments: said }: FunctionCall) => ({
  id,
  type: 'function' as const,
  function: { name, arguments: said },
})

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
  /** Of each choice: how many calls were told of. */
  const called = new Map<number, number>()
  const delta = (index: number, said: ChunkChoice['delta']): ChatChunk =>
    chunk([{ index, delta: said, logprobs: null, finish_reason: null }])
  const opening = (index: number): ChatChunk[] => {
    if (begun.has(index)) return []
    begun.add(index)
    return [delta(index, { role: 'assistant', content: '', refusal: null })]
  }
  const begunCall = (index: number, { index: at, id, name }: CallPlace): ChatChunk[] => {
    if (at < (called.get(index) ?? 0)) return []
    called.set(index, at + 1)
    const first = { index: at, id, type: 'function', function: { name, arguments: '' } } as const
    const opens = begun.has(index) ? {} : ({ role: 'assistant', content: null } as const)
    begun.add(index)
    return [delta(index, { ...opens, tool_calls: [first] })]
  }
  const calling = (index: number, call: CallPlace, text: string): ChatChunk[] => {
    const opened = begunCall(index, call)
    if (text === '') return opened
    const said = delta(index, {
      tool_calls: [{ index: call.index, function: { arguments: text } }],
    })
    if (wishes.obfuscation) said.obfuscation = obfuscation(text, random)
    return [...opened, said]
  }
  return {
    tokens({ choice: index, text, logprobs, call }) {
      if (call !== undefined) return calling(index, call, text)
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
