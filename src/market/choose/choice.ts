import { liesWithin } from '../../base/country.ts'
import type { DirectoryEntry } from '../../network/discovery/directory.ts'
import type { AdvertModel } from '../../wire/advert.ts'
import { type Capability, lacking } from '../../wire/capability.ts'
import type { Price, Wishes } from '../../wire/job.ts'
import { isUsable, type Offer, offered } from '../model-list.ts'
import { type Bounds, quote } from '../quote.ts'
import type { Providers } from './providers.ts'
import { type Candidate, type Ranked, rank } from './rank.ts'

/** A provider that is full for us says so by its status; asked again it is in any case after this. */
const ASK_AGAIN_MS = 1_000

/** Why a peer is not asked: for good, or for now. */
export type Exclusion =
  | 'other_nodes_wanted'
  | 'jurisdiction'
  | 'price'
  | 'credits'
  | 'tried'
  | 'context_too_small'
  | 'not_capable'
  | 'leaving'
  | 'not_ready'
  | 'no_room'

export interface ChoiceInput {
  modelId: string
  kind: 'chat' | 'embedding'
  wishes: Wishes
  /** Of the peer that asks: it is none of the candidates. */
  self: string
  /** Why not, where it serves the model. */
  selfExcluded: Exclusion | undefined
  /** Peers that this request need not try again. */
  tried: ReadonlySet<string>
  /** Contexts of this length and below were too small for its prompt. */
  contextTooSmall: number
  /** What the model must be able to do, beside what all of its kind do. */
  needs: readonly Capability[]
  /** Of one choice, as far as the caller says. */
  outputTokens: number
  /** What it can come to. */
  bounds: Bounds
  /** Who served this account with this model last. */
  familiar: string | undefined
  /** Whoever was not heard of since then may be out of reach. */
  doubtedSince: number
  /** Whether the caller can pay this price. */
  affords(price: Price): boolean
  now: number
}

export interface Choice {
  ranked: Ranked[]
  offers: ReadonlyMap<string, Offer>
  excluded: Partial<Record<Exclusion, number>>
  /** When somebody who has no room now may have some; undefined: there is no such peer. */
  againAt: number | undefined
}

/** Who could do a job, the best first; `entries` are those that advertise its model. */
export function choose(
  entries: readonly DirectoryEntry[],
  providers: Pick<Providers, 'about' | 'roomAt'>,
  input: ChoiceInput,
): Choice {
  const { selfExcluded } = input
  const excluded: Choice['excluded'] = selfExcluded === undefined ? {} : { [selfExcluded]: 1 }
  const offers = new Map<string, Offer>()
  const candidates: Candidate[] = []
  let againAt: number | undefined
  for (const entry of entries) {
    const model = offered(entry, input.modelId)
    if (entry.peerId === input.self || model?.kind !== input.kind) continue
    const never = exclusionOf(entry, model, input)
    const until = never ?? notNow(entry, providers, input)
    if (typeof until === 'object') againAt = Math.min(againAt ?? until.until, until.until)
    const reason = typeof until === 'object' ? until.reason : until
    if (reason !== undefined) {
      excluded[reason] = (excluded[reason] ?? 0) + 1
      continue
    }
    offers.set(entry.peerId, { entry, model })
    candidates.push(candidateOf({ entry, model }, providers, input))
  }
  return { ranked: rank(candidates, input.outputTokens), offers, excluded, againAt }
}

/** What the caller wished for and this peer is not. */
export function unwanted(
  peer: { peerId: string; region: string | undefined; price: Price | undefined },
  { only, not, jurisdiction, maxPrice }: Wishes,
): Exclusion | undefined {
  if (only !== undefined && !only.includes(peer.peerId)) return 'other_nodes_wanted'
  if (not?.includes(peer.peerId)) return 'other_nodes_wanted'
  if (jurisdiction !== undefined && !liesWithin(peer.region, jurisdiction)) return 'jurisdiction'
  if (maxPrice === undefined || peer.price === undefined) return undefined
  const { input, output } = peer.price
  return input > maxPrice.input || output > maxPrice.output ? 'price' : undefined
}

function exclusionOf(
  { peerId, advert, status }: DirectoryEntry,
  { price, contextLength, capabilities }: AdvertModel,
  { wishes, tried, contextTooSmall, needs, affords }: ChoiceInput,
): Exclusion | undefined {
  const reason = unwanted({ peerId, region: advert.region, price }, wishes)
  if (reason !== undefined) return reason
  if (lacking(needs, capabilities) !== undefined) return 'not_capable'
  if (tried.has(peerId)) return 'tried'
  if (contextLength <= contextTooSmall) return 'context_too_small'
  if (status?.draining) return 'leaving'
  return affords(price) ? undefined : 'credits'
}

/** It may do the job later. */
function notNow(
  entry: DirectoryEntry,
  providers: Pick<Providers, 'about' | 'roomAt'>,
  { modelId, now }: ChoiceInput,
): { reason: Exclusion; until: number } | undefined {
  if (!isUsable(entry, modelId)) return { reason: 'not_ready', until: now + ASK_AGAIN_MS }
  const busyUntil = providers.about(entry.peerId, modelId)?.busyUntil ?? 0
  if (busyUntil > now) return { reason: 'no_room', until: busyUntil }
  if (providers.roomAt(entry.peerId) > 0) return undefined
  return { reason: 'no_room', until: now + ASK_AGAIN_MS }
}

function candidateOf(
  { entry, model }: Offer,
  providers: Pick<Providers, 'about'>,
  { modelId, familiar, bounds, doubtedSince, now }: ChoiceInput,
): Candidate {
  const { peerId, rttMs, status, heardAt } = entry
  const load = status?.models.find(({ id }) => id === modelId)
  const pair = providers.about(peerId, modelId)
  const open = pair?.open ?? 0
  return {
    peerId,
    slots: Math.max(1, load?.slots ?? model.slots),
    running: Math.max(load?.running ?? 0, open),
    queued: load?.queued ?? 0,
    tokensPerSecond: load?.tokensPerSecond ?? 0,
    price: model.price,
    credits: quote(bounds, model.price),
    rttMs,
    measured: pair?.measurement.at(now),
    quietMs: pair?.quietMs(now) ?? 0,
    busyWithUs: open > 0,
    inDoubt: heardAt < doubtedSince,
    shunned: pair?.breaker.state(now) === 'open',
    familiar: familiar === peerId,
  }
}
