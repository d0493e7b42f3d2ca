import type { Clock } from '../../../../base/clock.ts'
import { Sampler, type SamplerComponents } from '../sampler.ts'
import type { Drafter, Drafts, Place, Wanted } from './drafter.ts'
import { GuessTime } from './guess-time.ts'

/** Prompt tokens that are read in one go: answers wait for it. */
const READ_STEP = 64
/** The last guess, and the token behind it: whoever reads more has something to catch up with. */
const USUAL_STEP = 2
/** Decodes, one token each. */
const MEASURED = 5

export interface DraftModelComponents extends SamplerComponents {
  clock: Clock
}

/** What a sequence of the small model's memory holds. */
interface Memory {
  tokens: Uint32Array
  length: number
  scope: string
}

/**
 * A small model of the same vocabulary. It draws with the large one's seeds, so that where both think
 * alike, both draw alike.
 */
export class DraftModel implements Drafter {
  readonly name = 'model'
  readonly #components: DraftModelComponents
  readonly #memories: readonly Memory[]
  readonly #time = new GuessTime()

  constructor(
    components: DraftModelComponents,
    { sequences, contextLength }: { sequences: number; contextLength: number },
  ) {
    this.#components = components
    this.#memories = Array.from({ length: sequences }, () => ({
      tokens: new Uint32Array(contextLength),
      length: 0,
      scope: '',
    }))
  }

  get msPerToken(): number {
    return this.#time.ms
  }

  /** Before any answer: what can't pay is then not even made to read their prompts. */
  async measure(): Promise<void> {
    const { context, clock } = this.#components
    for (let at = 0; at < MEASURED; at++) {
      const started = clock.elapsed()
      context.initBatch(1)
      context.addToBatch(0, at, Uint32Array.of(0), Uint32Array.of(0))
      await context.decodeBatch()
      this.#time.took(clock.elapsed() - started)
    }
    context.disposeSequence(0)
  }

  begin(place: Place): Drafts {
    const memory = this.#memories[place.sequence]
    if (memory === undefined) throw new RangeError(`there is no sequence ${place.sequence}`)
    if (memory.scope !== place.scope) this.#wipe(place.sequence, memory)
    memory.scope = place.scope
    return new ModelDrafts(this.#components, place, { memory, time: this.#time })
  }

  async prepare(wanted: readonly Wanted[]): Promise<void> {
    const working = wanted.flatMap(({ drafts, count }) =>
      drafts instanceof ModelDrafts && drafts.aim(count) ? [drafts] : [],
    )
    // Neighbours in order, as in every batch: a gap would split it.
    working.sort((a, b) => a.place.sequence - b.place.sequence)
    try {
      for (let at = working; at.length > 0; at = at.filter(({ wants }) => wants)) {
        await this.#step(at)
      }
    } catch (error) {
      // Nobody knows what they hold now.
      for (const { place, memory } of working) this.#wipe(place.sequence, memory)
      throw error
    } finally {
      for (const drafts of working) drafts.rest()
    }
  }

  async #step(working: readonly ModelDrafts[]): Promise<void> {
    const { context, clock } = this.#components
    const started = clock.elapsed()
    const isUsual = working.every(({ unread }) => unread <= USUAL_STEP)
    const tokens = working.reduce((sum, { unread }) => sum + unread, 0)
    context.initBatch(tokens)
    for (const drafts of working) drafts.read()
    await context.decodeBatch()
    await Promise.allSettled(working.map((drafts) => drafts.drawNext()))
    const ms = clock.elapsed() - started
    if (isUsual) this.#time.took(ms / working.length)
    else if (tokens >= READ_STEP) this.#time.read(tokens, ms)
  }

  #wipe(sequence: number, memory: Memory): void {
    this.#components.context.disposeSequence(sequence)
    memory.length = 0
  }
}

class ModelDrafts implements Drafts {
  readonly place: Place
  readonly memory: Memory
  readonly #components: SamplerComponents
  readonly #sampler: Sampler
  readonly #time: GuessTime
  /** Tokens that are committed. */
  #length: number
  /** So many of them are known to be those in memory. */
  #common = 0
  #guesses: number[] = []
  #count = 0
  #logit: number | undefined
  #works = false
  #ended = false

  constructor(
    components: SamplerComponents,
    place: Place,
    { memory, time }: { memory: Memory; time: GuessTime },
  ) {
    const { draw, room, sampling, tokens, length, promptLength } = place
    const { logprobs: _, ...alone } = sampling
    const written = tokens.slice(promptLength, length)
    this.#components = components
    this.#sampler = new Sampler(components, alone, { draw, room, written })
    this.#time = time
    this.#length = length
    this.place = place
    this.memory = memory
  }

  get ready(): number {
    return this.#guesses.length
  }

  get wants(): boolean {
    return this.#logit !== undefined && this.#guesses.length < this.#count
  }

  /** Tokens of the next batch. */
  get unread(): number {
    return Math.min(this.#length + this.#guesses.length - this.memory.length, READ_STEP)
  }

  /** But for the two tokens that each guess begins with. */
  get behindMs(): number {
    const unread = this.#length - this.#known() - USUAL_STEP
    return unread > 0 ? this.#time.msToRead(unread) : 0
  }

  propose(count: number): readonly number[] {
    return this.#guesses.slice(0, count)
  }

  committed(count: number): void {
    this.#time.passed(count)
    this.#length += count
    this.#guesses = []
  }

  end(): void {
    this.#ended = true
    if (!this.#works) this.#sampler.dispose()
  }

  /** What is to come of the next steps. False: none. */
  aim(count: number): boolean {
    const { memory } = this
    if (this.#ended || this.#length + count > memory.tokens.length) return false
    this.#works = true
    this.#count = count
    this.#guesses = []
    this.#forget()
    return true
  }

  /** The steps are over. */
  rest(): void {
    this.#works = false
    if (this.#ended) this.#sampler.dispose()
  }

  /** Into the batch: what is committed, then the last guess. */
  read(): void {
    const { place, memory } = this
    const end = memory.length + this.unread
    for (let at = memory.length; at < end; at++) {
      const guess = this.#guesses[at - this.#length] ?? 0
      memory.tokens[at] = at < this.#length ? (place.tokens[at] ?? 0) : guess
    }
    const part = memory.tokens.subarray(memory.length, end)
    const isWhole = end === this.#length + this.#guesses.length
    const last = isWhole ? Uint32Array.of(part.length - 1) : new Uint32Array(0)
    const { context } = this.#components
    this.#logit = context.addToBatch(place.sequence, memory.length, part, last)[0]
    memory.length = end
  }

  async drawNext(): Promise<void> {
    if (this.#logit === undefined) return
    const { place, memory } = this
    const written = memory.tokens.subarray(place.promptLength, memory.length)
    const { token } = await this.#sampler.draw(this.#logit, written)
    if (token >= 0) this.#guesses.push(token)
    // Behind an end there is nothing to guess.
    if (token < 0 || this.#components.tokens.isEnd(token)) this.#count = 0
  }

  /** So many tokens are in memory already. */
  #known(): number {
    const { place, memory } = this
    const most = Math.min(memory.length, this.#length - 1)
    let common = Math.min(this.#common, most)
    while (common < most && memory.tokens[common] === place.tokens[common]) common++
    this.#common = common
    return common
  }

  /** What did not come true; and the last token, as its logits are needed. */
  #forget(): void {
    const { place, memory } = this
    const common = this.#known()
    if (common === memory.length) return
    const { context } = this.#components
    memory.length = common
    if (common > 0 && context.removeTokenCellsFromSequence(place.sequence, common, -1)) return
    context.disposeSequence(place.sequence)
    memory.length = 0
    this.#common = 0
  }
}
