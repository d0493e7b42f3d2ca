interface Holding {
  rows: number
  bytes: number
  underway: number
}

export interface HoldingLimits {
  rowsMax: number
  bytesMax: number
  underwayMax: number
}

/** However much one account asks, so much of everything stays for the others. */
const ACCOUNT_PART = 0.5

/** How much is kept for idempotency, in all and by account. */
export class Holdings {
  readonly #limits: HoldingLimits
  readonly #all: Holding = { rows: 0, bytes: 0, underway: 0 }
  readonly #byAccount = new Map<string, Holding>()

  constructor(limits: HoldingLimits) {
    this.#limits = limits
  }

  /** Whether there is room for so much more of it. */
  hasRoom(account: string, what: keyof Holding, amount = 1): boolean {
    const most = this.#limits[`${what}Max`]
    const own = this.#byAccount.get(account)?.[what] ?? 0
    return this.#all[what] + amount <= most && own + amount <= most * ACCOUNT_PART
  }

  add(account: string, what: keyof Holding, amount: number): void {
    const own = this.#byAccount.get(account) ?? { rows: 0, bytes: 0, underway: 0 }
    own[what] += amount
    this.#all[what] += amount
    if (own.rows === 0 && own.bytes === 0 && own.underway === 0) this.#byAccount.delete(account)
    else this.#byAccount.set(account, own)
  }
}
