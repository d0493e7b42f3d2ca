import type { Random } from '../../base/random.ts'
import type { CompletionWork } from '../../wire/job.ts'
import type { RouteModule } from '../route.ts'
import { type StreamDialect, toTextReason, toUsage } from './answer.ts'
import { toCompletionWork } from './completion-job.ts'
import {
  type CompletionRequest,
  type CompletionResponse,
  completionRequest,
  completionResponse,
} from './completion-schema.ts'
import { eitherWay } from './fields.ts'
import {
  defaultGeneration,
  type Envelope,
  type GenerationComponents,
  type GenerationOptions,
} from './generation.ts'
import { characters, toLegacyLogprobs } from './logprobs.ts'
import { obfuscation } from './obfuscation.ts'
import { responder, type Wording } from './respond.ts'
import type { StreamWishes } from './sampling.ts'
import { v8Event } from './v8-schema.ts'

/** `POST /completions`, the older endpoint: text in, more text out. */
export function completionRoutes(
  components: GenerationComponents,
  options: GenerationOptions = defaultGeneration,
): RouteModule {
  const { random } = components
  const respond = responder(components, options)
  return (app) => {
    app.post<{ Body: CompletionRequest }>(
      '/completions',
      {
        schema: {
          summary: 'Go on from a text, as a whole or as a stream of chunks',
          tags: ['OpenAI'],
          body: completionRequest,
          response: { 200: eitherWay(completionResponse, completionResponse, v8Event) },
          sdk:
            "const completion = await client.completions.create({\n  model: 'pinaivu-demo',\n" +
            "  prompt: 'Hello!',\n})",
        },
        config: { access: 'inference', idempotent: 'work' },
      },
      async (request, reply) => {
        const { body } = request
        const work = await toCompletionWork(body, random)
        return respond(request, reply, work, completionWording(body, work, random))
      },
    )
  }
}

function completionWording(body: CompletionRequest, work: CompletionWork, random: Random): Wording {
  /** What stands before the text of choice `index`. */
  const echo = (index: number): string =>
    body.echo === true ? (work.prompts[Math.floor(index / work.sampling.choices)] ?? '') : ''
  return {
    idPrefix: 'cmpl',
    whole: ({ choices, usage }, envelope): CompletionResponse => ({
      ...envelope,
      object: 'text_completion',
      choices: choices.map(({ text, logprobs, reason }, index) => ({
        text: echo(index) + text,
        index,
        logprobs: body.logprobs == null ? null : toLegacyLogprobs(logprobs, 0),
        finish_reason: toTextReason(reason),
      })),
      usage: toUsage(usage),
    }),
    stream: (wishes, envelope) => completionDialect(wishes, echo, envelope, random),
  }
}

type CompletionChoice = CompletionResponse['choices'][number]

function completionDialect(
  wishes: StreamWishes,
  echo: (index: number) => string,
  envelope: () => Envelope,
  random: Random,
): StreamDialect {
  const chunk = (choices: CompletionChoice[]): CompletionResponse => {
    const usage = wishes.usage ? { usage: null } : {}
    return { ...envelope(), object: 'text_completion', choices, ...usage }
  }
  /** By choice, once it began: characters of its text so far. */
  const offsets = new Map<number, number>()
  const opening = (index: number): CompletionResponse[] => {
    if (offsets.has(index)) return []
    offsets.set(index, 0)
    const text = echo(index)
    return text === '' ? [] : [chunk([{ text, index, logprobs: null, finish_reason: null }])]
  }
  return {
    tokens({ choice: index, text, logprobs: scores }) {
      const events: object[] = opening(index)
      if (text === '' && scores === undefined) return events
      const offset = offsets.get(index) ?? 0
      const logprobs = scores === undefined ? null : toLegacyLogprobs(scores, offset)
      for (const { bytes } of scores ?? []) {
        offsets.set(index, (offsets.get(index) ?? 0) + characters(bytes))
      }
      const content = chunk([{ text, index, logprobs, finish_reason: null }])
      const padding = wishes.obfuscation ? { obfuscation: obfuscation(text, random) } : {}
      return [...events, { ...content, ...padding }]
    },
    finish: (index, reason) => [
      ...opening(index),
      chunk([{ text: '', index, logprobs: null, finish_reason: toTextReason(reason) }]),
    ],
    usage: (usage) => (wishes.usage ? { ...chunk([]), usage: toUsage(usage) } : undefined),
  }
}
