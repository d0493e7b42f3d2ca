import type { Clock } from '../../base/clock.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { Random } from '../../base/random.ts'
import type { Directory, DirectoryChange } from '../../network/discovery/directory.ts'
import type { Work } from '../../wire/job.ts'
import { isUsable, type Offer } from '../model-list.ts'
import { firstByteTimeout, noProvider } from '../no-provider.ts'
import type { Request } from '../request.ts'
import { type Choice, choose } from './choice.ts'
import { Lobby } from './lobby.ts'
import { type Engagement, Providers } from './providers.ts'
import { challengers, isFree, isKnown, type Ranked } from './rank.ts'
import { type Venture, Ventures } from './ventures.ts'
import { WarmSet } from './warm-set.ts'

/** Of one request, and again of what another goes on with. A job that so many peers did not do is better asked for again later. */
const ATTEMPTS_MAX = 8
/** With those that refused at once: a crowd of them must not use up a request's attempts. */
const ASKED_MAX = 32
/** A model that was just loaded has read a prompt by then; other peers can do the job as well. */
const NEWCOMER_MS_MAX = 20_000
/** Of the time for the first token. A long prompt takes its time; what is left is for who is quick. */
const PROVEN_PART = 0.75
/** One request in so many tries another provider than the best, or nobody else were ever measured. */
export const EXPLORED_OF = 20
/** Pairs of account and model, some 200 bytes each. */
const FAMILIAR_MAX = 4_096

export interface DispatcherComponents {
  directory: Directory
  watch(peerIds: readonly string[]): void
  clock: Clock
  random: Random
}

/** Who is to do a job next. Every assignment must be brought to one of its ends. */
export interface Assignment extends Offer {
  engagement: Engagement
  /** `clock.elapsed()`, for the first token or vector. */
  firstTokenBy: number
}

/** Finds providers for requests: the best that has room, or the first that comes to have some. */
export class Dispatcher {
  readonly #components: DispatcherComponents
  readonly #options: { peerId: string; firstByteMs: number }
  readonly providers: Providers
  readonly #lobby: Lobby
  readonly #warm: WarmSet
  readonly #ventures = new Ventures()
  readonly #familiar = new LruMap<string, string>(FAMILIAR_MAX)

  constructor(components: DispatcherComponents, options: { peerId: string; firstByteMs: number }) {
    this.#components = components
    this.#options = options
    this.providers = new Providers(components)
    this.#lobby = new Lobby(components)
    this.#warm = new WarmSet(components)
  }

  stop(): void {
    this.#warm.stop()
  }

  /** Undefined after an abort; throws what the client is told when nobody is left. */
  async next(
    request: Request,
    { signal }: { signal: AbortSignal },
  ): Promise<Assignment | undefined> {
    for (;;) {
      if (signal.aborted) return undefined
      const now = this.#components.clock.elapsed()
      if (now >= request.firstTokenBy) throw firstByteTimeout(this.#options.firstByteMs)
      const choice = this.#choose(request, now)
      const assignment = this.#assign(request, choice, now)
      if (assignment !== undefined) return assignment
      const { againAt, excluded } = choice
      // For a second opinion of a request that is at fault, nobody waits.
      const enough = isWorn(request) || request.provenDeclines > 0
      if (againAt === undefined && !enough && isAskedAgain(request)) continue
      if (againAt === undefined || enough) throw noProvider(request, excluded)
      const until = Math.min(againAt, request.firstTokenBy)
      const { modelId, job } = request
      await this.#lobby.wait({ modelId, account: job.cacheScope }, until - now, signal)
    }
  }

  /** It served this account, and may have its prompt in the cache. */
  served(request: Request, peerId: string): void {
    this.#familiar.set(request.familiarity, peerId)
  }

  /** It is not worth coming back to: what it had in its cache does not count. */
  lost(request: Request, peerId: string): void {
    if (this.#familiar.get(request.familiarity) === peerId) {
      this.#familiar.delete(request.familiarity)
    }
  }

  /** A provider may have room for so many more jobs of this model. */
  freed(modelId: string, count: number): void {
    this.#lobby.wake(modelId, count)
  }

  /** A provider came, or says that its load is another. */
  changed({ entry }: DirectoryChange): void {
    if (entry === undefined) return
    for (const { id, slots } of entry.advert.models) {
      if (!isUsable(entry, id)) continue
      const load = entry.status?.models.find((each) => each.id === id)
      if (load !== undefined && !isFree(load)) continue
      if (!this.providers.freed(entry.peerId, id)) continue
      this.#lobby.wake(id, load === undefined ? Math.max(1, slots) : load.slots - load.running)
    }
  }

  #choose(request: Request, now: number): Choice {
    const { directory, random } = this.#components
    const { modelId } = request
    const entries = directory.byModelId(modelId)
    // Among equals the first one wins: it must not be the same one each time.
    const from = entries.length > 1 ? random.below(entries.length) : 0
    const choice = choose([...entries.slice(from), ...entries.slice(0, from)], this.providers, {
      modelId,
      kind: request.kind,
      wishes: request.wishes,
      self: this.#options.peerId,
      selfExcluded: request.selfExcluded,
      tried: request.tried,
      contextTooSmall: request.contextTooSmall,
      needs: request.needs,
      outputTokens: tokensAskedFor(request.job.work),
      bounds: request.bounds,
      familiar: this.#familiar.get(request.familiarity),
      doubtedSince: request.doubtedSince,
      affords: (price) => request.affords(price),
      now,
    })
    if (choice.ranked.length > 0) this.#warm.used(modelId, choice.ranked)
    return choice
  }

  #assign(
    request: Request,
    { ranked, offers, excluded }: Choice,
    now: number,
  ): Assignment | undefined {
    if (isWorn(request)) return undefined
    const { best, venture } = this.#picked(request, ranked)
    const offer = best && offers.get(best.candidate.peerId)
    if (offer === undefined || !request.covers(offer.model.price)) return undefined
    request.report.chosen(ranked, excluded)
    if (request.attempts++ === 0) {
      this.#ventures.earned()
      request.known = ranked.filter(isKnown).length
    }
    const engagement = this.providers.engage(offer.entry.peerId, offer.model.id, venture)
    const couldServe = ({ candidate, standing }: Ranked) =>
      candidate.peerId !== offer.entry.peerId && standing !== 'failed lately'
    const leftMs = request.firstTokenBy - now
    const ms = ranked.some(couldServe) ? timeFor(engagement, leftMs) : leftMs
    return { ...offer, engagement, firstTokenBy: now + ms }
  }

  /** The best, or now and then another; the best of those that are known where that is too bold. */
  #picked(
    request: Request,
    ranked: readonly Ranked[],
  ): { best: Ranked | undefined; venture?: Venture | undefined } {
    const [first] = ranked
    const known = ranked.find(isKnown)
    const measured = known?.candidate.measured
    const other = request.attempts === 0 ? this.#explored(ranked) : undefined
    const best = other ?? first
    if (measured === undefined || best === known) return { best }
    const venture = this.#ventures.begin(measured)
    return venture === undefined ? { best: known } : { best, venture }
  }

  /** Undefined where it is not the time for that. */
  #explored(ranked: readonly Ranked[]): Ranked | undefined {
    const { random } = this.#components
    const others = challengers(ranked)
    if (others.length === 0 || random.below(EXPLORED_OF) > 0) return undefined
    return others[random.below(others.length)]
  }
}

/** Where another could do the job as well: nobody may use up a request's time by showing progress. */
function timeFor({ isProven }: Engagement, leftMs: number): number {
  return isProven ? PROVEN_PART * leftMs : Math.min(NEWCOMER_MS_MAX, leftMs / 2)
}

/** Once for a request, and only where nobody else is left. */
function isAskedAgain(request: Request): boolean {
  const { unheard, askedAgain, tried } = request
  if (unheard === undefined || askedAgain !== undefined) return false
  request.askedAgain = unheard
  return tried.delete(unheard)
}

function isWorn({ attempts, attemptsBefore, refusedAtOnce }: Request): boolean {
  const asked = attempts - attemptsBefore
  return asked - refusedAtOnce >= ATTEMPTS_MAX || asked >= ASKED_MAX
}

/** Of one choice; most answers are shorter than they might be. */
function tokensAskedFor(work: Work): number {
  if (work.kind === 'embedding') return 0
  return work.sampling.maxTokens ?? Number.POSITIVE_INFINITY
}
