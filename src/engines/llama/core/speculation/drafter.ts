/**
 * Guesses how answers go on. A guess is never trusted, only compared with what the model draws, so
 * the worst that a drafter can do is to waste a little time.
 */
export interface Drafter {
  /** Whose the counts are: a peer id, or a word for what drafts on this machine. */
  readonly name: string
  /**
   * One choice, before its first guess. The first `length` tokens are its prompt and what is
   * written of it; those behind them come later, and are to be read only once they are committed.
   */
  begin(tokens: Uint32Array, length: number): Drafts
}

/** The guesses of one choice. */
export interface Drafts {
  /**
   * At most `count` tokens behind those so far: what is there by now. Nobody waits for more, so who
   * has to compute or to ask does that ahead, and has fewer or none until then.
   */
  propose(count: number): readonly number[]
  /** So many more tokens are written; the first `accepted` of them are as they were proposed. */
  committed(count: number, accepted: number): void
  end(): void
}
