import type { Clock } from '../../base/clock.ts'
import { LruMap } from '../../base/lru-map.ts'
import { Refusal } from './refusal.ts'

/** Of so many it is remembered what they said; far more than draft at one time. */
const TARGETS_MAX = 1_024
/** Fewer guesses may have come too late, or been too dear to be looked at. */
const JUDGED_AFTER = 128
const FAIR = 0.5
/** Long enough to have found another one. */
const REST_MS = 600_000

interface Claim {
  /** Guesses that came true, and those of them that were said to be in answers. */
  right: number
  taken: number
  restsUntil: number
}

/**
 * Who is drafted for says alone how much of it is to be paid. Whoever says far less than came true,
 * be it that it lies or has no use for guesses, is not drafted for again for a while.
 */
export class DraftClaims {
  readonly #clock: Clock
  readonly #claims = new LruMap<string, Claim>(TARGETS_MAX)

  constructor({ clock }: { clock: Clock }) {
    this.#clock = clock
  }

  /** Throws where this one is not drafted for now. */
  check(peerId: string): void {
    const retryAfterMs = (this.#claims.get(peerId)?.restsUntil ?? 0) - this.#clock.elapsed()
    if (retryAfterMs <= 0) return
    const message = 'You took few of the guesses that came true. Ask again later.'
    throw new Refusal('allowance', message, { retryAfterMs })
  }

  note(peerId: string, right: number, taken: number): void {
    const claim = this.#claims.get(peerId) ?? { right: 0, taken: 0, restsUntil: 0 }
    claim.right += right
    claim.taken += taken
    if (claim.right >= JUDGED_AFTER) {
      if (claim.taken < claim.right * FAIR) claim.restsUntil = this.#clock.elapsed() + REST_MS
      claim.right = 0
      claim.taken = 0
    }
    this.#claims.set(peerId, claim)
  }
}
