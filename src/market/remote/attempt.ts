import type { Clock } from '../../base/clock.ts'
import type { Network } from '../../network/network.ts'
import type { AnswerHash } from '../../receipts/answer-hash.ts'
import type { AnswerReceipt } from '../../wire/chunk.ts'
import type { Signed } from '../../wire/generate.ts'
import type { Price } from '../../wire/job.ts'
import type { Expected } from './answer-check.ts'
import type { Ended, ProofComponents } from './answer-proof.ts'
import type { GhostsExpected } from './ghost-check.ts'
import type { Commissioned } from './verdict.ts'

export interface RemoteComponents extends ProofComponents {
  network: Pick<Network, 'isConnected' | 'connect' | 'disconnect' | 'open' | 'fault'>
  clock: Clock
}

/** How it ended, and what it costs per 1,000 tokens. */
export type Booked = Ended & { price: Price }

/** One attempt: this job, at this provider. */
export interface Attempt extends Expected, GhostsExpected {
  addresses: readonly string[]
  /** The connection that there is may hang: it is made anew. */
  isAfresh: boolean
  job: Signed
  body: Uint8Array
  /** What the job says that it may cost, per 1,000 tokens. */
  maxPrice: Price
  /** `clock.elapsed()`, for the first token or vector. */
  firstTokenBy: number
  /** Likewise, for the whole answer. */
  doneBy: number
  /** Jobs that this peer may have open there. */
  onAccepted(allowance: number): void
  /** Of which its receipt must be. */
  commissioned: Commissioned
  /**
   * Resolves once it is in the own log, with what the provider and the client are told. Without an
   * end nothing came from this provider, and there may be nothing to tell.
   */
  book(
    ended: Booked | undefined,
  ): Promise<{ entry: Uint8Array; receipt: AnswerReceipt } | undefined>
  /** Its provider is gone; another may go on with what came. */
  onLost(ended: Booked | undefined, came: AnswerHash): void
  /** What goes on after the last chunk, for a second at most; it never fails. */
  onParting(parting: Promise<void>): void
}
