import { newId } from '../../base/ids.ts'
import type { Random } from '../../base/random.ts'
import type { Chunk } from '../../wire/chunk.ts'
import type { CompletionWork } from '../../wire/job.ts'
import { clientSignal } from '../client-signal.ts'
import type { RouteModule } from '../route.ts'
import { SseWriter } from '../sse.ts'
import { collectAnswer, type StreamDialect, streamAnswer, toUsage } from './answer.ts'
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
  toEnvelope,
} from './generation.ts'
import { characters, toLegacyLogprobs } from './logprobs.ts'
import { chooseModel } from './model-choice.ts'
import { obfuscation } from './obfuscation.ts'
import { patient } from './patience.ts'
import { type StreamWishes, toStreamWishes } from './sampling.ts'

/** `POST /completions`, the older endpoint: text in, more text out. */
export function completionRoutes(
  components: GenerationComponents,
  options: GenerationOptions = defaultGeneration,
): RouteModule {
  const { engine, clock, random, logger } = components
  const generate = patient(engine.generate, components, options)
  return (app) => {
    app.post<{ Body: CompletionRequest }>(
      '/completions',
      {
        schema: {
          summary: 'Go on from a text, as a whole or as a stream of chunks',
          tags: ['OpenAI'],
          body: completionRequest,
          response: { 200: eitherWay(completionResponse, completionResponse) },
        },
        config: { access: 'inference' },
      },
      async (request, reply) => {
        const { body } = request
        const signal = clientSignal(reply)
        const wishes = toStreamWishes(body)
        const model = chooseModel(engine, body.model, 'chat').name
        const work = await toCompletionWork(body, random)
        const cacheScope = request.principal.account
        const job = { id: newId('job', clock, random), model, work, cacheScope }
        const chunks = generate(job, { signal })
        const envelope = () => toEnvelope('cmpl', request, components)
        const echoed = body.echo === true ? work : undefined
        if (wishes === undefined) return whole(body, chunks, echoed, envelope)
        const writer = new SseWriter({ clock, reply }, options)
        const dialect = completionDialect(wishes, echoed, envelope, random)
        await streamAnswer(chunks, { writer, logger, requestId: request.id }, dialect)
        return reply
      },
    )
  }
}

/** What stands before the text of choice `index`. */
const echoOf = (work: CompletionWork | undefined, index: number): string =>
  work?.prompts[Math.floor(index / work.sampling.choices)] ?? ''

async function whole(
  body: CompletionRequest,
  chunks: AsyncIterable<Chunk>,
  echoed: CompletionWork | undefined,
  envelope: () => Envelope,
): Promise<CompletionResponse> {
  const { choices, usage } = await collectAnswer(chunks)
  return {
    ...envelope(),
    object: 'text_completion',
    choices: choices.map(({ text, logprobs, reason }, index) => ({
      text: echoOf(echoed, index) + text,
      index,
      logprobs: body.logprobs == null ? null : toLegacyLogprobs(logprobs, 0),
      finish_reason: reason,
    })),
    usage: toUsage(usage),
  }
}

type CompletionChoice = CompletionResponse['choices'][number]

function completionDialect(
  wishes: StreamWishes,
  echoed: CompletionWork | undefined,
  envelope: () => Envelope,
  random: Random,
): StreamDialect {
  let head: Envelope | undefined
  const chunk = (choices: CompletionChoice[]): CompletionResponse => {
    head ??= envelope()
    const usage = wishes.usage ? { usage: null } : {}
    return { ...head, object: 'text_completion', choices, ...usage }
  }
  /** By choice, once it began: characters of its text so far. */
  const offsets = new Map<number, number>()
  const opening = (index: number): CompletionResponse[] => {
    if (offsets.has(index)) return []
    offsets.set(index, 0)
    const text = echoOf(echoed, index)
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
      chunk([{ text: '', index, logprobs: null, finish_reason: reason }]),
    ],
    usage: (usage) => (wishes.usage ? { ...chunk([]), usage: toUsage(usage) } : undefined),
  }
}
