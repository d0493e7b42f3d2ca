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

/** Whose turn it is with a choice, for how many guesses, and what each costs in tokens of an answer. */
interface Turn {
  source: Source
  count: number
  price: number
}

interface Asked {
  lane: Lane
  guesses: Guesses
  turns: Turn[]
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

  /** Some of the guesses are made on this machine, which takes its time. */
  get computes(): boolean {
    return this.#components.drafters.some(({ prepare }) => prepare !== undefined)
  }

  /** For choices that are each about to have their next token computed. Says who has new guesses. */
  async guess(lanes: readonly Lane[]): Promise<Lane[]> {
    const company = { lanes: lanes.length, tokens: lanes.length }
    const asked = lanes.map((lane) => this.#plan(lane, company))
    for (const drafter of this.#drafters(asked)) await this.#prepare(drafter, asked)
    const fresh = asked.filter((each) => this.#propose(each))
    for (const lane of lanes) {
      lane.guessed = this.#options.stepwise ? 0 : (lane.guesses?.open.length ?? 0)
    }
    return fresh.map(({ lane }) => lane)
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

  /** Whom to ask for how much. The others of the batch are taken to guess as planned. */
  #plan(lane: Lane, company: Company): Asked {
    const guesses = this.#of(lane)
    const most = Math.min(WINDOW_MAX, lane.limit - lane.generated - 1)
    const turns: Turn[] = []
    if (guesses.open.length > 0 || most <= 0) return { lane, guesses, turns }
    for (const source of guesses.sources) {
      source.standing.passed(1)
      const { msPerToken: msPerGuess = 0 } = source.drafter
      const at = { ...company, msPerGuess }
      const count = this.#window(source, at, lane.run.watched, most)
      if (count <= 0 || !this.#begin(source, lane, guesses)) continue
      turns.push({ source, count, price: this.#price(at, count) / count })
    }
    company.tokens += turns[0]?.count ?? 0
    return { lane, guesses, turns }
  }

  /** Those that compute on this machine, and whose turn it is first with somebody. */
  #drafters(asked: readonly Asked[]): Set<Drafter> {
    const first = asked.flatMap(({ turns: [turn] }) => (turn ? [turn.source.drafter] : []))
    return new Set(first.filter(({ prepare }) => prepare !== undefined))
  }

  async #prepare(drafter: Drafter, asked: readonly Asked[]): Promise<void> {
    const own = asked.filter(({ turns: [turn] }) => turn?.source.drafter === drafter)
    const wanted = own.flatMap(({ turns: [turn] }) => {
      const drafts = turn?.source.drafts
      return turn === undefined || drafts === undefined ? [] : [{ drafts, count: turn.count }]
    })
    try {
      await drafter.prepare?.(wanted)
    } catch {
      for (const { guesses, turns } of own) {
        const failed = turns.shift()
        if (failed !== undefined) guesses.drop(failed.source)
      }
    }
  }

  #propose({ lane, guesses, turns }: Asked): boolean {
    if (lane.finish !== undefined) return false
    for (const { source, count, price } of turns) {
      const ids = this.#ask(source, guesses, count)
      if (ids.length === 0) continue
      guesses.propose(source, ids, price * ids.length)
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
