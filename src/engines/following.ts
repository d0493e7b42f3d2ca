import { messageOf } from '../base/errors.ts'
import type { Generate, Tokens } from '../wire/chunk.ts'
import type { Drafting, Guess } from '../wire/drafter.ts'
import type { ChatWork, CompletionWork, Job } from '../wire/job.ts'

/** Tokens that are guessed ahead of what is known: some windows, as far as a long way takes. */
const AHEAD = 32
/** With fewer than these left, it goes on guessing. */
const AHEAD_LOW = 16

export interface FollowingComponents {
  generate: Generate
  /** Ids that are no tokens of this model, say: nothing more comes. */
  onEnd(why: string): void
}

/** A job with one choice, of which another model says the answer. */
export type FollowedJob = Job & { work: ChatWork | CompletionWork }

/**
 * A model that guesses what another one says, some way ahead: it writes on its own behind what is
 * known, and begins anew there whenever the other one has said something else.
 */
export class Following implements Drafting {
  readonly name = 'model'
  readonly #components: FollowingComponents
  readonly #job: FollowedJob
  readonly #guess: Guess
  /** Of the answer: those that are known, and its guesses behind them. */
  #ids: number[] = []
  #known = 0
  /** It has come to an end where the other one may go on. */
  #isOver = false
  #hasEnded = false
  #writing: AbortController | undefined
  #looping = false

  constructor(components: FollowingComponents, job: FollowedJob, guess: Guess) {
    this.#components = components
    this.#job = job
    this.#guess = guess
  }

  /** Begins to guess. */
  start(): void {
    if (this.#looping) return
    this.#looping = true
    void this.#loop()
  }

  committed(choice: number, first: number, ids: readonly number[]): void {
    if (choice !== 0 || first > this.#known || this.#hasEnded) return
    for (const [at, id] of ids.entries()) {
      const place = first + at
      if (place < this.#known || this.#ids[place] === id) continue
      this.#ids.length = place
      this.#ids.push(id)
      this.#isOver = false
      this.#writing?.abort()
    }
    this.#known = Math.max(this.#known, first + ids.length)
    this.start()
  }

  end(): void {
    this.#hasEnded = true
    this.#writing?.abort()
  }

  /** Until it is far enough ahead. One generation at a time: the next finds what the last has read. */
  async #loop(): Promise<void> {
    try {
      while (!this.#hasEnded && !this.#isOver && this.#ids.length - this.#known < AHEAD_LOW) {
        await this.#write()
      }
    } catch (error) {
      if (!this.#hasEnded) this.#components.onEnd(messageOf(error))
      this.end()
    }
    this.#looping = false
  }

  async #write(): Promise<void> {
    const { work } = this.#job
    const { logprobs: _, maxTokens = Number.POSITIVE_INFINITY, ...sampling } = work.sampling
    const until = Math.min(maxTokens, this.#known + AHEAD)
    this.#isOver = this.#ids.length >= maxTokens
    if (this.#isOver) return
    const writing = new AbortController()
    this.#writing = writing
    const job: Job = {
      ...this.#job,
      work: { ...work, sampling: { ...sampling, stop: [], maxTokens: until } },
      guesses: true,
      ...(this.#ids.length > 0 && { resume: [{ choice: 0, text: '', ids: [...this.#ids] }] }),
    }
    for await (const chunk of this.#components.generate(job, writing)) {
      if (writing.signal.aborted) continue
      if (chunk.type === 'tokens') this.#say(chunk)
      // Behind its end there is nothing to guess, and where nothing is added nothing would be again.
      if (chunk.type === 'done') this.#isOver = this.#ids.length < until
    }
    this.#writing = undefined
  }

  #say({ index, ids }: Tokens): void {
    if (index !== this.#ids.length || ids.length === 0) return
    this.#ids.push(...ids)
    this.#guess(0, index, ids)
  }
}
