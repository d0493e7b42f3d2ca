import type { Lane } from '../generation.ts'
import type { TokenTable } from '../token-table.ts'
import { BatchCost } from './batch-cost.ts'
import type { Drafter } from './drafter.ts'
import { Guesses, Source } from './guesses.ts'
import { Standing } from './standing.ts'
import {
  batchMs,
  bestWindow,
  couldPay,
  guessesOf,
  type Prospect,
  passes,
  WATCHED_MIN,
  WINDOW_MAX,
} from './window.ts'

/** Whose guesses are worse shows them to nobody: they have to pay for themselves. */
const WATCHABLE = 0.2

/** Guesses that are compared with the tokens as they come cost nothing, and gain nothing. */
const STEPWISE_WINDOW = 4

/** Drafters whose standing is remembered; a peer with a thousand names is forgotten under most. */
const STANDINGS_MAX = 64

export interface SpeculationComponents {
  /** For all choices. */
  drafters: readonly Drafter[]
  tokens: TokenTable
}

export interface SpeculationOptions {
  vocabularySize: number
  /** Guesses are not put into batches: each token is computed as it would be without them. */
  stepwise?: boolean | undefined
  /** Always as many, whatever that gives or costs; 0: none. For measuring. */
  window?: number | undefined
}

/** What one choice of a batch can have of guesses. */
interface Offer {
  lane: Lane
  guesses: Guesses
  /** By what was seen of whoever guesses. */
  prospect: Prospect
  /** By what it may be yet. */
  hoped: Prospect
  /** Undefined: nobody guesses. */
  source?: Source
  /** Undefined: they are still to be computed. */
  ids?: readonly number[] | undefined
  /** How many it takes, and what each costs, in tokens of an answer. */
  count: number
  price: number
  /** What comes before the first of them. */
  behind: number
}

const nothing: Prospect = { least: 0, most: 0, acceptance: 0, msPerGuess: 0 }

/** Decides which choices guess how far ahead. What guesses are worth is the tick loop's to find out. */
export class Speculation {
  readonly cost = new BatchCost()
  readonly #components: SpeculationComponents
  readonly #options: SpeculationOptions
  readonly #standings = new Map<string, Standing>()

  constructor(components: SpeculationComponents, options: SpeculationOptions) {
    this.#components = components
    this.#options = options
  }

  /** Some of the guesses are made on this machine, which takes its time. */
  get computes(): boolean {
    return this.#components.drafters.some(({ prepare }) => prepare !== undefined)
  }

  /** For choices that are each about to have their next token computed. Says who has new guesses. */
  async guess(lanes: readonly Lane[]): Promise<Lane[]> {
    const { stepwise, window: fixed } = this.#options
    for (const lane of lanes) lane.guessed = 0
    if (fixed === 0) return []
    const pays = fixed !== undefined || (!stepwise && couldPay(this.cost, lanes.length))
    if (!pays && !lanes.some(({ run }) => run.watched)) return []
    const offers = lanes.map((lane) => this.#offer(lane, pays || lane.run.watched, lanes.length))
    const { window, isTrial } = this.#window(offers)
    this.#price(offers, window)
    for (const offer of offers) {
      offer.count = this.#count(offer, window, isTrial)
      pay(offer)
    }
    await compute(offers)
    const fresh = offers.filter((offer) => this.#propose(offer))
    if (!stepwise) {
      for (const lane of lanes) lane.guessed = lane.guesses?.open.length ?? 0
    }
    return fresh.map(({ lane }) => lane)
  }

  /** A batch of these took so long. */
  took(lanes: readonly Lane[], ms: number): void {
    this.cost.took(passes(lanes.map(({ guessed }) => 1 + guessed)), ms)
  }

  /** Who guesses best has the first word; who need not compute says it at once. */
  #offer(lane: Lane, isWanted: boolean, lanes: number): Offer {
    const guesses = this.#of(lane)
    const none = { prospect: nothing, hoped: nothing, count: 0, price: 1, behind: 0 }
    const offer: Offer = { lane, guesses, ...none }
    const most = Math.min(WINDOW_MAX, lane.limit - lane.generated - 1)
    if (most <= 0 || guesses.open.length > 0) return offer
    for (const source of guesses.sources) {
      source.passed(1)
      const { share, hope } = source.acceptance
      if (!isWanted || hope <= offer.hoped.acceptance) continue
      if (!this.#begin(source, lane, guesses)) continue
      const computes = source.drafter.prepare !== undefined
      const msPerGuess = source.drafter.msPerToken ?? 0
      if (computes && !this.#isWorth(lane, lanes, { acceptance: hope, msPerGuess })) continue
      const behind = this.#behind(source, lanes)
      if (behind > 0 && !this.#mayRead(source, lane, behind)) continue
      const ids = computes ? undefined : this.#ask(source, guesses, most)
      if (ids?.length === 0) continue
      const least = lane.run.watched && share >= WATCHABLE ? WATCHED_MIN : 0
      offer.source = source
      offer.behind = behind
      if (behind === 0) source.isReading = false
      offer.prospect = { least, most: ids?.length ?? most, acceptance: share, msPerGuess }
      const affordable = this.#affordable(source, { lanes, msPerGuess })
      const hopedMost = Math.max(least, Math.min(offer.prospect.most, affordable))
      offer.hoped = { ...offer.prospect, most: hopedMost, acceptance: hope }
      offer.ids = ids
    }
    return offer
  }

  /** Who takes longer to guess than it could ever gain leaves the word to others, except where it is watched. */
  #isWorth(lane: Lane, lanes: number, guess: Partial<Prospect>): boolean {
    return this.#isFree(lane) || couldPay(this.cost, lanes, guess)
  }

  #isFree({ run }: Lane): boolean {
    const { stepwise, window: fixed } = this.#options
    return run.watched || stepwise === true || fixed !== undefined
  }

  #mayRead(source: Source, lane: Lane, behind: number): boolean {
    return source.isReading || this.#isFree(lane) || source.standing.affords(behind)
  }

  /** What a drafter has to read first, in tokens of an answer: a short answer to a long prompt may not be worth it. */
  #behind({ drafts }: Source, lanes: number): number {
    const alone = this.cost.ms(lanes)
    return alone === 0 ? 0 : ((drafts?.behindMs ?? 0) * lanes) / alone
  }

  #of(lane: Lane): Guesses {
    if (lane.guesses === undefined) {
      const drafters = [...lane.run.drafters, ...this.#components.drafters]
      const sources = drafters.map((drafter) => new Source(drafter, this.#standing(drafter)))
      lane.guesses = new Guesses(sources)
    }
    return lane.guesses
  }

  #standing({ name }: Drafter): Standing {
    const known = this.#standings.get(name) ?? new Standing()
    this.#standings.delete(name)
    this.#standings.set(name, known)
    const [oldest] = this.#standings.keys()
    if (this.#standings.size > STANDINGS_MAX && oldest !== undefined) this.#standings.delete(oldest)
    return known
  }

  /** Where none pays by what was seen, one that may pay is tried. */
  #window(offers: readonly Offer[]): { window: number; isTrial: boolean } {
    const { stepwise, window: fixed } = this.#options
    const isWatched = offers.some(({ lane }) => lane.run.watched)
    if (fixed !== undefined) return { window: fixed, isTrial: false }
    if (stepwise) return { window: isWatched ? STEPWISE_WINDOW : 0, isTrial: false }
    const likely = bestWindow(
      this.cost,
      offers.map(({ prospect }) => prospect),
    )
    if (likely.tokens > 0) return { window: likely.tokens, isTrial: false }
    const hoped = bestWindow(
      this.cost,
      offers.map((offer) => offer.hoped),
    )
    return { window: hoped.tokens, isTrial: true }
  }

  /** So many guesses may all be wrong. */
  #affordable(source: Source, { lanes, msPerGuess }: { lanes: number; msPerGuess: number }) {
    const alone = this.cost.ms(lanes)
    const tokens = (window: number) =>
      (this.cost.ms(lanes * (1 + window)) + lanes * window * msPerGuess) / alone - 1
    let window = alone > 0 ? WINDOW_MAX : 0
    while (window > 0 && !source.standing.affords(tokens(window))) window--
    return window
  }

  /** As much as a token where nobody knows. */
  #price(offers: readonly Offer[], window: number): void {
    const lengths = offers.map(({ prospect }) => 1 + guessesOf(prospect, window))
    const guesses = lengths.reduce((sum, length) => sum + length - 1, 0)
    const alone = this.cost.ms(offers.length)
    if (alone === 0) return
    const ms =
      guesses === 0 ? alone / offers.length : (batchMs(this.cost, lengths) - alone) / guesses
    for (const offer of offers) {
      const { stepwise } = this.#options
      offer.price = (((stepwise ? 0 : ms) + offer.prospect.msPerGuess) * offers.length) / alone
    }
  }

  #count({ lane, prospect, hoped, source, price }: Offer, window: number, isTrial: boolean) {
    const { stepwise, window: fixed } = this.#options
    if (source === undefined) return 0
    const least = lane.run.watched && fixed === undefined ? WATCHED_MIN : 0
    const count = Math.min(Math.max(window, least), isTrial ? hoped.most : prospect.most)
    const isBad = source.acceptance.share < WATCHABLE
    const isFree = fixed !== undefined || stepwise || prospect.least > 0 || !(isTrial || isBad)
    return isFree || source.standing.affords(count * price, isBad) ? count : 0
  }

  #propose({ lane, guesses, source, count, price, ids: known }: Offer): boolean {
    if (source === undefined || count === 0 || lane.finish !== undefined) return false
    const ids = known?.slice(0, count) ?? this.#ask(source, guesses, count)
    if (ids.length === 0) return false
    guesses.propose(source, ids, price * ids.length)
    return true
  }

  #begin(source: Source, lane: Lane, guesses: Guesses): boolean {
    const { sequence, prompt, generated, choice, draw, room, run } = lane
    if (sequence === undefined) return false
    try {
      source.drafts ??= source.drafter.begin({
        tokens: sequence.tokens,
        length: prompt.tokens.length + generated,
        promptLength: prompt.tokens.length,
        ...{ choice, draw, room, scope: run.scope, sampling: run.sampling },
        sequence: sequence.index,
      })
      return true
    } catch {
      guesses.drop(source)
      return false
    }
  }

  #ask(source: Source, guesses: Guesses, count: number): readonly number[] {
    try {
      return this.#usable(source.drafts?.propose(count).slice(0, count) ?? [])
    } catch {
      guesses.drop(source)
      return []
    }
  }

  /** Those before the first that is no token of this model, or ends an answer: none comes behind that. */
  #usable(ids: readonly number[]): readonly number[] {
    const { vocabularySize } = this.#options
    const isUsable = (id: number) =>
      Number.isInteger(id) && id >= 0 && id < vocabularySize && !this.#components.tokens.isEnd(id)
    const end = ids.findIndex((id) => !isUsable(id))
    return end < 0 ? ids : ids.slice(0, end)
  }
}

/** For the reading that comes before its guesses, at once. */
function pay({ source, count, behind }: Offer): void {
  if (source === undefined || count === 0 || behind === 0 || source.isReading) return
  source.isReading = true
  source.standing.lost(behind)
}

/** Has each drafter that computes do so for all choices that take its guesses. */
async function compute(offers: readonly Offer[]): Promise<void> {
  const computing = offers.filter(({ count, ids }) => count > 0 && ids === undefined)
  for (const drafter of new Set(computing.map(({ source }) => source?.drafter))) {
    const own = computing.filter(({ source }) => source?.drafter === drafter)
    const wanted = own.flatMap(({ source, count }) =>
      source?.drafts === undefined ? [] : [{ drafts: source.drafts, count }],
    )
    try {
      await drafter?.prepare?.(wanted)
    } catch {
      for (const { guesses, source } of own) if (source !== undefined) guesses.drop(source)
    }
  }
}
