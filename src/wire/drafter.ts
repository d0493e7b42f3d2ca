import type { Job } from './job.ts'

/** Guesses for a choice of a job's answer, from this position on. */
export type Guess = (choice: number, first: number, ids: readonly number[]) => void

/**
 * Who drafts elsewhere for one job. It says what it guesses whenever it has something, best some way
 * ahead; nobody waits for it, and what it says is only compared with what the model draws.
 */
export interface Drafting {
  /** A peer id. */
  readonly name: string
  /** The tokens of a choice from this position on are these; guesses that say otherwise are void. */
  committed: Guess
  /** Nothing more is to be guessed. So many of its guesses are in the answer, where that is known. */
  end(accepted?: number): void
}

/** Finds who drafts for a job; undefined: nobody. `lost`: who does is gone. */
export type FindDrafting = (job: Job, guess: Guess, lost: () => void) => Drafting | undefined
