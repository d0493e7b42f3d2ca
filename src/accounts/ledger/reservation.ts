import type { Batch } from '../../storage/batch.ts'

/** Whose credits, and through which key. */
export interface Payer {
  account: string
  keyId?: string
  /** What this key may spend in all. */
  creditLimit?: number
}

/** What work came to, as its routing entry says. */
export interface Charge {
  jobId: string
  amount: number
  /** Who gets it. Undefined: this peer itself. */
  payees: readonly { peerId: string | undefined; amount: number }[]
  requestId?: string
  model?: string
  /** The routing entry's CID. */
  routing?: string
}

/** Of a ledger, what its reservations use. */
export interface Holder {
  /** Throws `insufficient_credits`. */
  hold(payer: Payer, amount: number): void
  free(payer: Payer, amount: number): void
  /** `held`: so much was set aside for it, and is free then. */
  charge(payer: Payer, charge: Charge, held: number, batch: Batch): void
  /** Nobody pays. */
  bear(charge: Charge, batch: Batch): void
}

/** Credits set aside for one job, in memory alone: a crash sets them free. */
export class Reservation {
  readonly #ledger: Holder
  readonly #payer: Payer
  #amount = 0
  #isCharged = false
  #isOver = false

  constructor(ledger: Holder, payer: Payer) {
    this.#ledger = ledger
    this.#payer = payer
  }

  /** What is set aside. */
  get amount(): number {
    return this.#amount
  }

  /** Sets aside more, up to this. Throws `insufficient_credits`, and then nothing has changed. */
  raise(to: number): void {
    const more = to - this.#amount
    if (more <= 0 || this.#isOver) return
    this.#ledger.hold(this.#payer, more)
    this.#amount = to
  }

  /**
   * The charge happens with these rows, and what was set aside is free then. A job is charged once:
   * whatever else comes of it, this peer bears.
   */
  settle(charge: Charge, rows: Batch): void {
    rows.last((batch) => {
      if (this.#isCharged) {
        this.#ledger.bear(charge, batch)
        return
      }
      this.#isCharged = true
      this.#ledger.charge(this.#payer, charge, this.#over(), batch)
    })
  }

  /** Sets free what was not charged. To be called in any case, once or more. */
  release(): void {
    this.#ledger.free(this.#payer, this.#over())
  }

  /** What was set aside until now: nothing is from now on. */
  #over(): number {
    const amount = this.#amount
    this.#isOver = true
    this.#amount = 0
    return amount
  }
}
