import type { Sampling } from '../../../../wire/job.ts'

/**
 * Guesses how answers go on. A guess is never trusted, only compared with what the model draws, so
 * the worst that a drafter can do is to waste a little time.
 */
export interface Drafter {
  /** Whose the counts are: a peer id, or a word for what drafts on this machine. */
  readonly name: string
  /** What a guess takes of the machine's time before it is verified, as measured; without it, none. */
  readonly msPerToken?: number
  /** One choice, before its first guess. */
  begin(place: Place): Drafts
  /**
   * Who computes on this machine does it here, for all choices that want guesses: the next decode
   * waits for it, and only for it.
   */
  prepare?(wanted: readonly Wanted[]): Promise<void>
}

/** The choice that is to be guessed. */
export interface Place {
  /** Its prompt and its answer; what stands behind those so far is to be read once it is committed. */
  readonly tokens: Uint32Array
  /** Tokens so far, those of the prompt among them. */
  readonly length: number
  readonly promptLength: number
  readonly choice: number
  readonly sampling: Sampling
  /** Which answer to its prompt it is. */
  readonly draw: number
  /** Tokens that its answer has room for. */
  readonly room: number
  /** The sequence that holds it, until it ends: no other choice is there. */
  readonly sequence: number
  /** Whose it is: nobody else's may be compared with it. */
  readonly scope: string
}

/** The guesses of one choice. */
export interface Drafts {
  /** What it has to compute before its next guess, in ms: to read what it does not know yet. */
  readonly behindMs?: number
  /**
   * At most `count` tokens behind those so far: what is there by now. Nobody waits for more, so who
   * has to ask others does that ahead, and has fewer or none until then.
   */
  propose(count: number): readonly number[]
  /**
   * So many more tokens are written. The first `accepted` of them are as this one proposed; if there
   * are more, the rest of what it proposed is void.
   */
  committed(count: number, accepted: number): void
  end(): void
}

export interface Wanted {
  drafts: Drafts
  count: number
}
