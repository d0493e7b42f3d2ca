import type { Chunk, Drafted, Finish, Usage } from '../../../wire/chunk.ts'
import type { Sampling } from '../../../wire/job.ts'
import { AnswerText, type Settled } from './answer-text.ts'
import { type Begun, invalidResume } from './begun.ts'
import type { Sampler } from './sampler.ts'
import type { Sequence } from './sequence-pool.ts'
import type { Drafter } from './speculation/drafter.ts'
import type { Guesses } from './speculation/guesses.ts'
import { StopStrings } from './stop-strings.ts'

/** Short enough that a cancelled run ends soon on a slow machine too. */
const EVEN_STEP = 16

const noLogits = new Uint32Array(0)

export interface Prompt {
  tokens: Uint32Array
  /** Tokens of it that are in some sequence's memory. */
  read: number
  /** Tokens of it that did not have to be computed. Undefined until its first choice begins. */
  cached: number | undefined
  /** The choice that computes it for the others. */
  leader: Lane | undefined
}

export interface RunInput {
  id: number
  scope: string
  /** The part of all slots that it may hold at once; without it, all. */
  share?: number | undefined
  /** Its reader sees guesses too. */
  watched?: boolean | undefined
  /** Who guesses for this run alone, before those who guess for all. */
  drafters?: readonly Drafter[] | undefined
  sampling: Sampling
  prompts: Uint32Array[]
  contextLength: number
  /** By choice; of those that are to go on. */
  begun?: ReadonlyMap<number, Begun>
}

/** One job at work: its prompts, and a lane for each choice of each. */
export class Run {
  readonly id: number
  readonly scope: string
  readonly share: number
  readonly watched: boolean
  readonly drafters: readonly Drafter[]
  readonly sampling: Sampling
  readonly prompts: readonly Prompt[]
  readonly lanes: readonly Lane[]
  /** When its reader last heard something. */
  reportedAt = 0

  constructor(input: RunInput) {
    const { id, scope, share = 1, watched = false, sampling, prompts, contextLength, begun } = input
    this.id = id
    this.scope = scope
    this.share = share
    this.watched = watched
    this.drafters = input.drafters ?? []
    this.sampling = sampling
    this.prompts = prompts.map((tokens) => ({
      tokens,
      read: 0,
      cached: undefined,
      leader: undefined,
    }))
    const stops = sampling.stop.filter((stop) => stop !== '')
    const table = stops.length === 0 ? undefined : new StopStrings(stops)
    this.lanes = this.prompts.flatMap((prompt, at) =>
      Array.from({ length: sampling.choices }, (_, draw) => {
        const choice = at * sampling.choices + draw
        const room = contextLength - prompt.tokens.length
        const place = { prompt, choice, draw, room }
        return new Lane(this, place, new AnswerText(table), begun?.get(choice))
      }),
    )
  }

  get inputTokens(): number {
    return this.prompts.reduce((sum, { tokens }) => sum + tokens.length, 0)
  }

  get finished(): boolean {
    return this.lanes.every(({ finish }) => finish !== undefined)
  }

  get usage(): Usage {
    return {
      inputTokens: this.inputTokens,
      cachedTokens: this.prompts.reduce((sum, { cached }) => sum + (cached ?? 0), 0),
      outputTokens: this.lanes.reduce((sum, { delivered, begun }) => sum + delivered - begun, 0),
    }
  }

  get done(): Chunk {
    const finish = this.lanes.map((lane): Finish => lane.finish ?? 'cancelled')
    const drafting = this.drafting
    return { type: 'done', finish, usage: this.usage, ...(drafting.length > 0 && { drafting }) }
  }

  /** By drafter, of all choices. */
  get drafting(): Drafted[] {
    const sums = new Map<string, Drafted>()
    for (const counts of this.lanes.flatMap(({ guesses }) => guesses?.counts ?? [])) {
      const sum = sums.get(counts.drafter)
      if (sum === undefined) sums.set(counts.drafter, { ...counts })
      else {
        sum.drafted += counts.drafted
        sum.accepted += counts.accepted
        sum.rolledBack += counts.rolledBack
      }
    }
    return [...sums.values()]
  }

  progress(queued: number): Chunk {
    const prefilled = this.prompts.reduce((sum, { read }) => sum + read, 0)
    return { type: 'progress', queued, prefilled, total: this.inputTokens }
  }
}

/** Which choice it is. */
interface Place {
  prompt: Prompt
  choice: number
  /** Which answer to its prompt it is: the same prompt alone draws the same. */
  draw: number
  /** Tokens that an answer to this prompt has room for. */
  room: number
}

/** One choice of a run. Its tokens stand in its sequence: the prompt, then what was generated. */
export class Lane {
  readonly run: Run
  readonly prompt: Prompt
  readonly choice: number
  readonly draw: number
  readonly room: number
  readonly limit: number
  readonly text: AnswerText
  /** The prompt, and the tokens that were written of this choice elsewhere. */
  readonly given: Uint32Array
  /** How many the latter are. */
  readonly begun: number
  /** How it ends without another token. */
  readonly ended: Finish | undefined
  sequence: Sequence | undefined
  sampler: Sampler | undefined
  /** Tokens of the answer. */
  generated: number
  /** Those that were handed on. */
  delivered: number
  finish: Finish | undefined
  /** Its part of the batch that is being decoded, without guesses. */
  taken = 0
  guesses: Guesses | undefined
  /** Those that are in the batch behind that. */
  guessed = 0
  /** Where in the answer ends what a reader was shown of it. */
  shown = 0
  /** Of its last token in the batch, and of each guess; none while there is more to read. */
  logits: Uint32Array = noLogits

  constructor(run: Run, { prompt, choice, draw, room }: Place, text: AnswerText, begun?: Begun) {
    this.run = run
    this.prompt = prompt
    this.choice = choice
    this.draw = draw
    this.room = room
    this.limit = Math.min(run.sampling.maxTokens ?? room, room)
    this.text = text
    this.given = begun === undefined ? prompt.tokens : joined(prompt.tokens, begun.ids)
    this.begun = this.given.length - prompt.tokens.length
    this.generated = this.begun
    this.delivered = this.begun
    if (begun !== undefined) this.#resume(begun)
    if (begun?.ended || text.stopped) this.ended = 'stop'
    else if (this.generated >= this.limit) this.ended = 'length'
  }

  /** No token was drawn yet. */
  get prefilling(): boolean {
    return this.generated === this.begun
  }

  /** The tokens of the answer that came from elsewhere. */
  get resumed(): Uint32Array {
    return this.given.subarray(this.prompt.tokens.length)
  }

  #resume({ bytes, text }: Begun): void {
    if (this.begun > this.limit) throw invalidResume(this.choice, 'has more tokens than it may')
    if (!this.text.resume(bytes, text)) throw invalidResume(this.choice, 'is not what its ids say')
  }

  /** Tokens that stand in the sequence and are not in its memory yet. */
  get remaining(): number {
    return this.prompt.tokens.length + this.generated - (this.sequence?.length ?? 0)
  }

  /** The same whoever computes it: prompts in equal parts, all others as they are when written. */
  get evenStep(): number {
    const unread = this.prompt.tokens.length - (this.sequence?.length ?? 0)
    return unread > 0 ? Math.min(unread, EVEN_STEP) : 1
  }

  chunk({ ids, text, logprobs }: Settled): Chunk {
    const index = this.delivered
    this.delivered += ids.length
    return {
      type: 'tokens',
      choice: this.choice,
      index,
      ids,
      text,
      ...(this.run.sampling.logprobs === undefined ? {} : { logprobs }),
    }
  }
}

function joined(first: Uint32Array, next: Uint32Array): Uint32Array {
  const all = new Uint32Array(first.length + next.length)
  all.set(first)
  all.set(next, first.length)
  return all
}
