/** How much of something one account has, with what is on its way to the disk. */
export interface Holding {
  count: number
  bytes: number
}

/**
 * What accounts have of something that is limited. Counted once, when an account is first looked at,
 * and kept up to date by whoever changes it: a number beside the rows could say something else.
 */
export class Holdings {
  readonly #count: (account: string) => Promise<Holding>
  /** As many as there are accounts in use; each is named by a key. */
  readonly #known = new Map<string, Promise<Holding>>()

  constructor(count: (account: string) => Promise<Holding>) {
    this.#count = count
  }

  /** The one object of this account: what is written into it, all see. */
  of(account: string): Promise<Holding> {
    const known = this.#known.get(account)
    if (known !== undefined) return known
    const counted = this.#count(account)
    this.#known.set(account, counted)
    counted.catch(() => this.#known.delete(account))
    return counted
  }
}
