import type { FastifyRequest } from 'fastify'
import type { Clock } from '../../base/clock.ts'
import { newId } from '../../base/ids.ts'
import type { Logger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import type { Engine, ModelStatus } from '../../engines/engine.ts'
import type { Job, Work } from '../../wire/job.ts'
import { defaultSse, type SseOptions } from '../sse.ts'
import { fingerprint } from './model-choice.ts'
import { defaultPatience, type PatienceOptions } from './patience.ts'

/** What the endpoints need that make text. */
export interface GenerationComponents {
  engine: Engine
  clock: Clock
  random: Random
  logger: Logger
}

export interface GenerationOptions extends PatienceOptions, SseOptions {}

export const defaultGeneration: GenerationOptions = { ...defaultPatience, ...defaultSse }

/** The fields that every object of one answer repeats. */
export interface Envelope {
  id: string
  created: number
  model: string
  system_fingerprint?: string
  service_tier?: string
  request_id: string
}

export function toEnvelope(
  prefix: string,
  request: FastifyRequest<{ Body: { model: string; service_tier?: string | null } }>,
  { engine, clock }: GenerationComponents,
): Envelope {
  const { model, service_tier: tier } = request.body
  const print = fingerprint(engine, model)
  return {
    id: `${prefix}-${request.id.replace(/^req_/, '')}`,
    created: Math.floor(clock.now() / 1000),
    model,
    ...(print === undefined ? {} : { system_fingerprint: print }),
    // There is one tier; a client that asked for another learns which one it got.
    ...(tier == null ? {} : { service_tier: 'default' }),
    request_id: request.id,
  }
}

export function toJob<W extends Work>(
  request: FastifyRequest,
  model: ModelStatus,
  work: W,
  { clock, random }: GenerationComponents,
): Job {
  const cacheScope = request.principal.account
  return { id: newId('job', clock, random), model: model.name, work, cacheScope }
}
