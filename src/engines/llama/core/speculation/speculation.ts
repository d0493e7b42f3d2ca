import type { Lane } from '../generation.ts'
import type { TokenTable } from '../token-table.ts'
import { BatchCost } from './batch-cost.ts'
import type { Drafter } from './drafter.ts'
import { Guesses, Source } from './guesses.ts'
import { Standing } from './standing.ts'
import { BOUND_MIN, bestWindow, type Company, prices, WATCHED_MIN, WINDOW_MAX } from './window.ts'

/** Who guesses worse does it for nobody's eyes: it has to pay for itself. */
const WATCHABLE = 0.2

/** Guesses that are compared with the tokens as they come cost nothing, and gain nothing. */
const STEPWISE_WINDOW = 4

/** Drafters whose standing is remembered; a peer with a thousand names is forgotten under most. */
const STANDINGS_MAX = 64

export interface SpeculationComponents {
  /** Asked in turn: the first that has a guess. */
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

/** Decides which choices guess how far ahead. What the guesses are worth is the tick loop's to find out. */
export class Speculation {
  readonly cost = new BatchCost()
  readonly #components: SpeculationComponents
  readonly #options: SpeculationOptions
  readonly #standings = new Map<string, Standing>()

  constructor(components: SpeculationComponents, options: SpeculationOptions) {
    this.#components = components
    this.#options = options
  }

  /** For choices that are each about to have their next token computed. Says who has new guesses. */
  guess(lanes: readonly Lane[]): Lane[] {
    const company = { lanes: lanes.length, tokens: lanes.length }
    const fresh: Lane[] = []
    for (const lane of lanes) {
      const guesses = this.#of(lane)
      if (guesses.open.length === 0 && this.#propose(lane, guesses, company)) fresh.push(lane)
      lane.guessed = this.#options.stepwise ? 0 : guesses.open.length
      company.tokens += lane.guessed
    }
    return fresh
  }

  #of(lane: Lane): Guesses {
    lane.guesses ??= new Guesses(
      this.#components.drafters.map((drafter) => new Source(drafter, this.#standing(drafter))),
    )
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

  #propose(lane: Lane, guesses: Guesses, company: Company): boolean {
    const most = Math.min(WINDOW_MAX, lane.limit - lane.generated - 1)
    for (const source of guesses.sources) {
      source.standing.passed(1)
      const window = this.#window(source, company, lane.run.watched, most)
      if (window <= 0) continue
      const ids = this.#ask(source, lane, guesses, window)
      if (ids.length === 0) continue
      guesses.propose(source, ids, this.#price(company, ids.length))
      return true
    }
    return false
  }

  #window(source: Source, company: Company, watched: boolean, most: number): number {
    const { stepwise, window } = this.#options
    if (window !== undefined) return Math.min(window, most)
    if (stepwise) return watched ? Math.min(STEPWISE_WINDOW, most) : 0
    const best = bestWindow(this.cost, company, source.acceptance.share, most)
    const paying = best.bound >= BOUND_MIN ? best.tokens : 0
    const wanted = watched ? Math.min(Math.max(paying, WATCHED_MIN), most) : paying
    if (watched && source.acceptance.share >= WATCHABLE) return wanted
    return source.standing.affords(this.#price(company, wanted)) ? wanted : 0
  }

  /** What so many guesses cost, in tokens of an answer; as much as tokens where that is unknown. */
  #price(company: Company, window: number): number {
    if (this.#options.stepwise) return 0
    const { token, guesses } = prices(this.cost, company, window)
    return token > 0 ? guesses / token : window
  }

  #ask(source: Source, lane: Lane, guesses: Guesses, window: number): readonly number[] {
    const { sequence, prompt, generated } = lane
    if (sequence === undefined) return []
    try {
      const length = prompt.tokens.length + generated
      source.drafts ??= source.drafter.begin(sequence.tokens, length)
      return this.#usable(source.drafts.propose(window).slice(0, window))
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
