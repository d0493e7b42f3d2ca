import type { Drafted } from '../../../../wire/chunk.ts'
import type { Drafter, Drafts } from './drafter.ts'
import { Acceptance, type Standing } from './standing.ts'

/** One drafter, as one choice knows it. */
export class Source {
  readonly drafter: Drafter
  readonly standing: Standing
  readonly acceptance: Acceptance
  readonly counts: Drafted
  drafts: Drafts | undefined
  /** It catches up with the answer, in several goes; that it may was decided, and is paid for. */
  isReading = false

  constructor(drafter: Drafter, standing: Standing) {
    this.drafter = drafter
    this.standing = standing
    this.acceptance = new Acceptance(standing.acceptance.share)
    this.counts = { drafter: drafter.name, drafted: 0, accepted: 0, rolledBack: 0 }
  }

  /** So many tokens of the choice were written. */
  passed(tokens: number): void {
    this.acceptance.passed(tokens)
    this.standing.passed(tokens)
  }
}

/** What is guessed behind one choice's tokens, and what became of all that was. */
export class Guesses {
  #sources: readonly Source[]
  #open: readonly number[] = []
  /** Who made those that are open. */
  #by: Source | undefined
  /** What computing them costs, in tokens of an answer. */
  #price = 0
  #proposed = 0
  /** Of the proposal at work. */
  #right = 0
  /** Since its drafters last heard of any; the latter are of `#last`'s guesses. */
  #committed = 0
  #accepted = 0
  #last: Source | undefined
  /** Right, and not yet a part of the answer: a stop string may cut them off. */
  readonly #unsettled: { position: number; counts: Drafted }[] = []
  readonly #counts: readonly Drafted[]

  constructor(sources: readonly Source[]) {
    this.#sources = sources
    this.#counts = sources.map(({ counts }) => counts)
  }

  /** Those that have not failed. */
  get sources(): readonly Source[] {
    return this.#sources
  }

  get open(): readonly number[] {
    return this.#open
  }

  get by(): string {
    return this.#by?.drafter.name ?? ''
  }

  /** Of those that guessed anything. Everything drafted is accepted or rolled back once it is closed. */
  get counts(): Drafted[] {
    return this.#counts.filter(({ drafted }) => drafted > 0)
  }

  propose(source: Source, ids: readonly number[], price: number): void {
    this.#open = ids
    this.#by = source
    this.#last = source
    this.#price = price
    this.#proposed = ids.length
    this.#right = 0
    source.counts.drafted += ids.length
  }

  /** It has failed, and is asked no more. */
  drop(source: Source): void {
    this.#sources = this.#sources.filter((other) => other !== source)
    quietly(() => source.drafts?.end())
  }

  /** The answer has this token at this place. True where that makes guesses void. */
  settle(token: number, position: number): boolean {
    this.#committed++
    const by = this.#by
    if (by === undefined) return false
    if (this.#open[0] !== token) return this.refute()
    this.#open = this.#open.slice(1)
    this.#right++
    this.#accepted++
    this.#unsettled.push({ position, counts: by.counts })
    if (this.#open.length === 0) this.#judge()
    return false
  }

  /** The tokens before this place are in the answer for good. */
  delivered(until: number): void {
    while ((this.#unsettled[0]?.position ?? until) < until) {
      const settled = this.#unsettled.shift()
      if (settled !== undefined) settled.counts.accepted++
    }
  }

  /** Drafters hear of a tick's tokens at once. */
  tell(): void {
    if (this.#committed === 0) return
    for (const source of this.#sources) {
      const accepted = source === this.#last ? this.#accepted : 0
      const isHeard = quietly(() => source.drafts?.committed(this.#committed, accepted))
      if (!isHeard) this.drop(source)
    }
    this.#committed = 0
    this.#accepted = 0
  }

  /** There are no more tokens; of the last ones its drafters hear as well. */
  close(): void {
    this.tell()
    const by = this.#by
    if (by !== undefined) by.counts.rolledBack += this.#open.length
    this.#open = []
    this.#by = undefined
    for (const { counts } of this.#unsettled.splice(0)) counts.rolledBack++
    for (const { drafts } of this.#sources) quietly(() => drafts?.end())
    this.#sources = []
  }

  /** The answer goes on otherwise, or ends. True where that makes guesses void. */
  refute(): boolean {
    const wrong = this.#open.length
    if (this.#by !== undefined) this.#by.counts.rolledBack += wrong
    this.#open = []
    this.#judge()
    return wrong > 0
  }

  #judge(): void {
    const { acceptance, standing } = this.#by ?? {}
    acceptance?.add(this.#right, this.#proposed)
    standing?.acceptance.add(this.#right, this.#proposed)
    standing?.lost(this.#price - this.#right)
    this.#by = undefined
  }
}

/** False where it fails: a drafter's faults are no fault of the answer. */
function quietly(task: () => void): boolean {
  try {
    task()
    return true
  } catch {
    return false
  }
}
