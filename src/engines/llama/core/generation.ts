import type { Chunk, Finish, Usage } from '../../../wire/chunk.ts'
import type { Sampling } from '../../../wire/job.ts'
import { AnswerText, type Settled } from './answer-text.ts'
import type { Sampler } from './sampler.ts'
import type { Sequence } from './sequence-pool.ts'
import { StopStrings } from './stop-strings.ts'

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
  sampling: Sampling
  prompts: Uint32Array[]
  contextLength: number
}

/** One job at work: its prompts, and a lane for each choice of each. */
export class Run {
  readonly id: number
  readonly scope: string
  readonly sampling: Sampling
  readonly prompts: readonly Prompt[]
  readonly lanes: readonly Lane[]
  /** When its reader last heard something. */
  reportedAt = 0

  constructor({ id, scope, sampling, prompts, contextLength }: RunInput) {
    this.id = id
    this.scope = scope
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
        const room = contextLength - prompt.tokens.length
        return new Lane(this, prompt, at * sampling.choices + draw, draw, room, table)
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
      outputTokens: this.lanes.reduce((sum, { delivered }) => sum + delivered, 0),
    }
  }

  get done(): Chunk {
    const finish = this.lanes.map((lane): Finish => lane.finish ?? 'cancelled')
    return { type: 'done', finish, usage: this.usage }
  }

  progress(queued: number): Chunk {
    const prefilled = this.prompts.reduce((sum, { read }) => sum + read, 0)
    return { type: 'progress', queued, prefilled, total: this.inputTokens }
  }
}

/** One choice of a run. Its tokens stand in its sequence: the prompt, then what was generated. */
export class Lane {
  readonly run: Run
  readonly prompt: Prompt
  readonly choice: number
  /** Which answer to its prompt it is: the same prompt alone draws the same. */
  readonly draw: number
  readonly room: number
  readonly limit: number
  readonly text: AnswerText
  sequence: Sequence | undefined
  sampler: Sampler | undefined
  generated = 0
  /** Token ids that were handed on. */
  delivered = 0
  finish: Finish | undefined
  /** Its part of the batch that is being decoded. */
  taken = 0
  logitIndex: number | undefined

  constructor(
    run: Run,
    prompt: Prompt,
    choice: number,
    draw: number,
    room: number,
    stops: StopStrings | undefined,
  ) {
    this.run = run
    this.prompt = prompt
    this.choice = choice
    this.draw = draw
    this.room = room
    this.limit = Math.min(run.sampling.maxTokens ?? room, room)
    this.text = new AnswerText(stops)
  }

  get prefilling(): boolean {
    return this.generated === 0
  }

  /** Tokens that stand in the sequence and are not in its memory yet. */
  get remaining(): number {
    return this.prompt.tokens.length + this.generated - (this.sequence?.length ?? 0)
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
