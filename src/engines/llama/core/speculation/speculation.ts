import type { Lane } from '../generation.ts'
import type { TokenTable } from '../token-table.ts'
import { BatchCost } from './batch-cost.ts'
import type { Drafter } from './drafter.ts'
import { Guesses, Source } from './guesses.ts'
import { Standing } from './standing.ts'
import { BOUND_MIN, bestWindow, type Company, prices, WATCHED_MIN, WINDOW_MAX, type Window } from './window.ts'

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
  bound: number
  price: number
}

interface Asked {
  lane: Lane
  guesses: Guesses
  /** Those that are still to be asked. */
  turns: Turn[]
  isFresh: boolean
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
    const asked = lanes.map((lane) => this.#begin(lane, company))
    for (const drafter of computing(asked)) await prepare(drafter, asked)
    for (const each of asked) this.#ask(each, true)
    for (const lane of lanes) {
      lane.guessed = this.#options.stepwise ? 0 : (lane.guesses?.open.length ?? 0)
    }
    return asked.flatMap(({ lane, isFresh }) => (isFresh ? [lane] : []))
  }

  /** Takes what is there, or what is to be computed into account for those that come after. */
  #begin(lane: Lane, company: Company): Asked {
    const guesses = this.#of(lane)
    const asked: Asked = { lane, guesses, turns: [], isFresh: false }
    if (guesses.open.length === 0) {
      asked.turns = this.#turns(lane, guesses, company)
      this.#ask(asked, false)
    }
    company.tokens += asked.turns[0]?.count ?? guesses.open.length
    return asked
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

  /** Whom to ask for how much: first those that make the answer fastest. */
  #turns(lane: Lane, guesses: Guesses, company: Company): Turn[] {
    const most = Math.min(WINDOW_MAX, lane.limit - lane.generated - 1)
    const turns: Turn[] = []
    for (const source of most > 0 ? guesses.sources : []) {
      source.standing.passed(1)
      const at = { ...company, msPerGuess: source.drafter.msPerToken ?? 0 }
      const { tokens: count, bound } = this.#window(source, at, lane.run.watched, most)
      if (count <= 0 || !this.#place(source, lane, guesses)) continue
      turns.push({ source, count, bound, price: this.#price(at, count) / count })
    }
    return turns.sort((a, b) => b.bound - a.bound)
  }

  /** In turn, until one has a guess; without `all`, until one that has to compute it. */
  #ask(asked: Asked, all: boolean): void {
    const { lane, guesses, turns } = asked
    while (turns[0] !== undefined && lane.finish === undefined) {
      const { source, count, price } = turns[0]
      if (!all && source.drafter.prepare !== undefined) return
      turns.shift()
      const ids = this.#proposal(source, guesses, count)
      if (ids.length === 0) continue
      guesses.propose(source, ids, price * ids.length)
      asked.isFresh = true
      turns.length = 0
    }
  }

  #window(source: Source, company: Company, watched: boolean, most: number): Window {
    const { stepwise, window } = this.#options
    if (window !== undefined) return { tokens: Math.min(window, most), bound: 1 }
    if (stepwise) return { tokens: watched ? Math.min(STEPWISE_WINDOW, most) : 0, bound: 1 }
    const best = bestWindow(this.cost, company, source.acceptance.share, most)
    const paying = best.bound >= BOUND_MIN ? best.tokens : 0
    const wanted = watched ? Math.min(Math.max(paying, WATCHED_MIN), most) : paying
    const isWorth = watched && source.acceptance.share >= WATCHABLE
    const isFree = isWorth || source.standing.affords(this.#price(company, wanted))
    return { tokens: isFree ? wanted : 0, bound: best.bound }
  }

  /** What so many guesses cost, in tokens of an answer; as much as tokens where that is unknown. */
  #price(company: Company, window: number): number {
    if (this.#options.stepwise) return 0
    const { token, guesses } = prices(this.cost, company, window)
    return token > 0 ? guesses / token : window
  }

  #place(source: Source, lane: Lane, guesses: Guesses): boolean {
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

  #proposal(source: Source, guesses: Guesses, count: number): readonly number[] {
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

/** Those that compute on this machine, and whose turn it is with somebody. */
function computing(asked: readonly Asked[]): Set<Drafter> {
  return new Set(asked.flatMap(({ turns: [turn] }) => (turn ? [turn.source.drafter] : [])))
}

async function prepare(drafter: Drafter, asked: readonly Asked[]): Promise<void> {
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
