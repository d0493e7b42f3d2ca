import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Routed } from '../../wire/chunk.ts'
import type { ChatWork, CompletionWork } from '../../wire/job.ts'
import { clientSignal } from '../client-signal.ts'
import { SseWriter } from '../sse.ts'
import { trailerNames, workHeaders } from '../work-headers.ts'
import {
  type Answer,
  attribute,
  collectAnswer,
  type StreamDialect,
  streamAnswer,
} from './answer.ts'
import {
  type Envelope,
  type GenerationComponents,
  type GenerationOptions,
  toEnvelope,
  toJob,
} from './generation.ts'
import { chooseModel } from './model-choice.ts'
import { patient } from './patience.ts'
import { type StreamWishes, toStreamWishes } from './sampling.ts'
import { isWatched, type ModeFields, scored } from './stream-mode.ts'
import { streamWatched } from './v8-answer.ts'
import type { WishFields } from './wishes.ts'

/** How an endpoint writes its answer down. */
export interface Wording {
  idPrefix: string
  whole(answer: Answer, envelope: Envelope): object
  stream(wishes: StreamWishes, envelope: () => Envelope): StreamDialect
}

type TextRequest = FastifyRequest<{
  Body: ModeFields & WishFields & { model: string; service_tier?: string | null }
}>

/** Has a model do the work of a request, and sends what it says: as a whole or as a stream. */
export function responder(components: GenerationComponents, options: GenerationOptions) {
  const { market, clock, logger } = components
  const generate = patient(market.generate, components, options)
  return async (
    request: TextRequest,
    reply: FastifyReply,
    work: ChatWork | CompletionWork,
    wording: Wording,
  ): Promise<object> => {
    const cameAt = clock.elapsed()
    const wishes = toStreamWishes(request.body)
    const isShown = isWatched(request.body, work)
    const signal = clientSignal(reply)
    const model = await chooseModel(market, request.body.model, 'chat', signal)
    const job = toJob(request, model, isShown ? scored(work) : work, components)
    if (isShown) job.watched = true
    const chunks = generate(job, { signal })
    const envelope = (routed?: Routed) =>
      toEnvelope(wording.idPrefix, request, components, model, routed)
    if (wishes === undefined) {
      const answer = await collectAnswer(chunks)
      return { ...wording.whole(answer, envelope(answer.routed)), ...attribute(reply, answer) }
    }
    const writer = new SseWriter({ clock, reply }, options, trailerNames)
    let routed: Routed | undefined
    const onRouted = (chunk: Routed) => {
      routed = chunk
      reply.headers(workHeaders(chunk))
    }
    const parts = { writer, logger, requestId: request.id, onRouted }
    if (isShown) {
      const { model: name } = request.body
      await streamWatched(chunks, { ...parts, clock, cameAt, jobId: job.id, model: name })
      return reply
    }
    let made: Envelope | undefined
    // Asked for when the first token is there: by then the model is loaded and has a fingerprint.
    const dialect = wording.stream(wishes, () => {
      made ??= envelope(routed)
      return made
    })
    await streamAnswer(chunks, parts, dialect)
    return reply
  }
}
