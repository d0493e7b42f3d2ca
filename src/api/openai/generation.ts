import type { FastifyRequest } from 'fastify'
import type { Clock } from '../../base/clock.ts'
import { newId } from '../../base/ids.ts'
import type { Logger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import type { Market, MarketModel } from '../../market/market.ts'
import type { Routed } from '../../wire/chunk.ts'
import type { Job, Work } from '../../wire/job.ts'
import type { ImageFetcher } from '../images/image-fetcher.ts'
import { defaultSse, type SseOptions } from '../sse.ts'
import { fingerprint } from './model-choice.ts'
import { defaultPatience, type PatienceOptions } from './patience.ts'
import { toDrafters, toWishes, type WishFields } from './wishes.ts'

/** What the endpoints need that make text. */
export interface GenerationComponents {
  market: Market
  clock: Clock
  random: Random
  logger: Logger
  /** Default: over HTTPS, from public addresses alone. */
  images?: Pick<ImageFetcher, 'fetch'>
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
  { market, clock }: GenerationComponents,
  { name, local }: MarketModel,
  routed: Routed | undefined,
): Envelope {
  const { model, service_tier: tier } = request.body
  // It may have been loaded for this very request.
  const facts = local && (local.facts ?? market.resolve(name)?.local?.facts)
  const print = fingerprint(facts, routed?.model.id)
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
  request: FastifyRequest<{ Body: WishFields }>,
  model: MarketModel,
  work: W,
  { clock, random }: GenerationComponents,
): Job {
  const { account, keyId, creditLimit, jurisdiction } = request.principal
  const wishes = toWishes(request.body, jurisdiction)
  const endpoint = endpointOf(request.routeOptions.url)
  const limit = creditLimit === undefined ? {} : { creditLimit }
  const origin = { requestId: request.id, account, endpoint, keyId, ...limit }
  const id = newId('job', clock, random)
  const drafters = toDrafters(request.body)
  const job = { id, model: model.name, work, cacheScope: account, origin }
  return { ...job, ...(wishes && { wishes }), ...(drafters && { drafters }) }
}

/** The same under each path that the endpoint goes by. */
const endpointOf = (url = ''): string => (/^\/(v1|api)\//.test(url) ? url : `/v1${url}`)
