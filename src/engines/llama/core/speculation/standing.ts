/** How far back acceptance is remembered, in tokens. */
const MEMORY = 32
/** What is expected before anything was seen counts as much as so many tokens. */
const PRIOR_TOKENS = 4
const PRIOR = 0.5

/** Above what it seems to be, in standard deviations: who was seen little may be better than it seems. */
const HOPE = 2
/** Nobody is right for ever. */
const HOPE_MAX = 0.97
/** In tokens of an answer: what was seen so long ago is worth a third, and it may be hoped for more again. */
const FORGOTTEN_AFTER = 1024

/** A drafter may waste this part of the time; there may be two or three. */
const LOSS_SHARE = 0.01
/** And so much before it has gained any; in tokens of an answer. */
const GRACE = 4
/** Who has shown that it guesses badly gets less. */
const GRACE_BAD = 1
/** What it may waste, and what it gained, is kept so far: to read a long prompt takes that much at once. */
const CREDIT_MAX = 64
/** What it lost beyond is soon forgotten, so that it is tried again some day. */
const DEBT_MAX = 16

/** The part of guesses that are right, the latest counting most. */
export class Acceptance {
  #right: number
  #judged = PRIOR_TOKENS

  constructor(prior = PRIOR) {
    this.#right = prior * PRIOR_TOKENS
  }

  get share(): number {
    return this.#right / this.#judged
  }

  /**
   * What it may be yet. Guesses are made by this: by what seems likely, one that fails twice at first
   * would never be asked again, and where a window has to be long to pay, none ever.
   */
  get hope(): number {
    const { share } = this
    const deviation = Math.sqrt((share * (1 - share)) / this.#judged)
    return Math.max(share, Math.min(HOPE_MAX, share + HOPE * deviation))
  }

  /** So many tokens were written without its guesses. */
  passed(tokens: number): void {
    const kept = (1 - 1 / FORGOTTEN_AFTER) ** tokens
    this.#right = this.#right * kept + PRIOR * PRIOR_TOKENS * (1 - kept)
    this.#judged = this.#judged * kept + PRIOR_TOKENS * (1 - kept)
  }

  /** Guesses behind a wrong one say nothing about themselves. */
  add(accepted: number, proposed: number): void {
    const judged = Math.min(accepted + 1, proposed)
    const kept = (1 - 1 / MEMORY) ** judged
    this.#right = this.#right * kept + accepted
    this.#judged = this.#judged * kept + judged
  }
}

/** What a drafter has shown in all its guesses: how often they were right, and what they cost. */
export class Standing {
  readonly acceptance = new Acceptance()
  /** In tokens of an answer: what was lost by its guesses, and not gained by others. */
  #debt = 0

  /** So many answer tokens' time went by; it may lose a little of that. */
  passed(tokens: number): void {
    this.acceptance.passed(tokens)
    this.#debt = Math.max(this.#debt - tokens * LOSS_SHARE, Math.min(this.#debt, -CREDIT_MAX))
  }

  /** What guesses cost, less the tokens that they gave. */
  lost(tokens: number): void {
    this.#debt = Math.min(Math.max(this.#debt + tokens, -CREDIT_MAX), DEBT_MAX)
  }

  /** Whether it may lose so much more. */
  affords(tokens: number, isBad = false): boolean {
    return this.#debt + tokens <= (isBad ? GRACE_BAD : GRACE)
  }
}
