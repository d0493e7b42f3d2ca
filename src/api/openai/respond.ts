import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ChatWork, CompletionWork } from '../../wire/job.ts'
import { clientSignal } from '../client-signal.ts'
import { SseWriter } from '../sse.ts'
import { type Answer, collectAnswer, type StreamDialect, streamAnswer } from './answer.ts'
import {
  type Envelope,
  type GenerationComponents,
  type GenerationOptions,
  toEnvelope,
  toJob,
} from './generation.ts'
import { chooseModel } from './model-choice.ts'
import { patient } from './patience.ts'
import { type StreamFields, type StreamWishes, toStreamWishes } from './sampling.ts'

/** How an endpoint writes its answer down. */
export interface Wording {
  idPrefix: string
  whole(answer: Answer, envelope: Envelope): object
  stream(wishes: StreamWishes, envelope: () => Envelope): StreamDialect
}

type TextRequest = FastifyRequest<{
  Body: StreamFields & { model: string; service_tier?: string | null }
}>

/** Has a model do the work of a request, and sends what it says: as a whole or as a stream. */
export function responder(components: GenerationComponents, options: GenerationOptions) {
  const { engine, clock, logger } = components
  const generate = patient(engine.generate, components, options)
  return async (
    request: TextRequest,
    reply: FastifyReply,
    work: ChatWork | CompletionWork,
    wording: Wording,
  ): Promise<object> => {
    const wishes = toStreamWishes(request.body)
    const model = chooseModel(engine, request.body.model, 'chat')
    const job = toJob(request, model, work, components)
    const chunks = generate(job, { signal: clientSignal(reply) })
    let made: Envelope | undefined
    // Asked for when the first token is there: by then the model is loaded and has a fingerprint.
    const envelope = () => {
      made ??= toEnvelope(wording.idPrefix, request, components)
      return made
    }
    if (wishes === undefined) {
      const answer = await collectAnswer(chunks)
      return wording.whole(answer, envelope())
    }
    const writer = new SseWriter({ clock, reply }, options)
    const dialect = wording.stream(wishes, envelope)
    await streamAnswer(chunks, { writer, logger, requestId: request.id }, dialect)
    return reply
  }
}
