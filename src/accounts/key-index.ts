import type { Range } from '../storage/table.ts'
import type { KeyRecord, KeyRow } from './key-record.ts'
import { type Limits, type Principal, scopes } from './principal.ts'

/** A key in memory. */
export class KeyEntry {
  row: KeyRow
  readonly principal: Principal
  lastUsedAt: number | null = null
  /** What the database knows of `lastUsedAt`. */
  savedUseAt: number | null = null
  #last: Promise<unknown> = Promise.resolve()

  constructor(row: KeyRow) {
    this.row = row
    this.principal = principalOf(row)
  }

  /** Changes of one key happen one after the other, on the disk too. */
  inTurn<T>(task: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(task)
    this.#last = turn.catch(() => {})
    return turn
  }
}

interface Secret {
  entry: KeyEntry
  /** Milliseconds since the epoch. */
  until: number
}

/** Every key, by each of its secrets' hashes and by its id. */
export class KeyIndex {
  readonly #bySecret = new Map<string, Secret>()
  readonly #byId = new Map<string, KeyEntry>()
  readonly #counts = new Map<string, number>()
  /** By their ids, which is about the order in which they were made. */
  readonly #sorted: KeyEntry[] = []

  get size(): number {
    return this.#byId.size
  }

  /** Of one account. */
  countOf(account: string): number {
    return this.#counts.get(account) ?? 0
  }

  bySecret(hash: string): Secret | undefined {
    return this.#bySecret.get(hash)
  }

  get(id: string): KeyEntry | undefined {
    return this.#byId.get(id)
  }

  all(): readonly KeyEntry[] {
    return this.#sorted
  }

  list(account: string | undefined, { gt, lt, reverse, limit }: Range<string>): KeyEntry[] {
    const found: KeyEntry[] = []
    const [from, to] = [gt === undefined ? 0 : this.#after(gt), this.#before(lt)]
    for (let n = 0; n < to - from && found.length < (limit ?? Number.POSITIVE_INFINITY); n++) {
      const entry = this.#sorted[reverse === true ? to - 1 - n : from + n] as KeyEntry
      if (account === undefined || entry.row.account === account) found.push(entry)
    }
    return found
  }

  add(row: KeyRow): KeyEntry {
    const entry = new KeyEntry(row)
    this.#byId.set(row.id, entry)
    this.#counts.set(row.account, this.countOf(row.account) + 1)
    this.#sorted.splice(this.#after(row.id), 0, entry)
    this.#addSecrets(entry)
    return entry
  }

  change(entry: KeyEntry, row: KeyRow): void {
    this.#removeSecrets(entry)
    entry.row = row
    this.#addSecrets(entry)
  }

  remove(entry: KeyEntry): void {
    this.#removeSecrets(entry)
    this.#byId.delete(entry.row.id)
    this.#counts.set(entry.row.account, this.countOf(entry.row.account) - 1)
    this.#sorted.splice(this.#sorted.indexOf(entry), 1)
  }

  #addSecrets(entry: KeyEntry): void {
    const { hash, older } = entry.row
    this.#bySecret.set(hash, { entry, until: Number.POSITIVE_INFINITY })
    for (const { hash: old, until } of older) this.#bySecret.set(old, { entry, until })
  }

  #removeSecrets({ row: { hash, older } }: KeyEntry): void {
    this.#bySecret.delete(hash)
    for (const { hash: old } of older) this.#bySecret.delete(old)
  }

  /** Where the first is whose id comes after this one. */
  #after(id: string): number {
    let [low, high] = [0, this.#sorted.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#sorted[middle] !== undefined && this.#sorted[middle].row.id <= id) low = middle + 1
      else high = middle
    }
    return low
  }

  #before(id: string | undefined): number {
    if (id === undefined) return this.#sorted.length
    const after = this.#after(id)
    return this.#sorted[after - 1]?.row.id === id ? after - 1 : after
  }
}

function principalOf(row: KeyRow): Principal {
  const { id: keyId, account, creditLimit, jurisdiction } = row
  const limits = limitsOf(row)
  return {
    keyId,
    account,
    // The owner may do everything, also what a later version brings.
    scopes: new Set(row.owner ? scopes : row.scopes),
    ...(limits && { limits }),
    ...(creditLimit === null ? {} : { creditLimit }),
    ...(jurisdiction === null ? {} : { jurisdiction }),
  }
}

function limitsOf({ rpmLimit, tpmLimit, concurrencyLimit }: KeyRow): Limits | undefined {
  if (rpmLimit === null && tpmLimit === null && concurrencyLimit === null) return undefined
  return {
    ...(rpmLimit === null ? {} : { requestsPerMinute: rpmLimit }),
    ...(tpmLimit === null ? {} : { tokensPerMinute: tpmLimit }),
    ...(concurrencyLimit === null ? {} : { concurrency: concurrencyLimit }),
  }
}

export function recordOf({ row, principal, lastUsedAt }: KeyEntry): KeyRecord {
  const { hash: _secret, older: _secrets, ...shown } = row
  return { ...shown, scopes: [...principal.scopes], overlapEndsAt: overlapOf(row), lastUsedAt }
}

/** When the last of the replaced secrets ends. */
export const overlapOf = ({ older }: KeyRow): number | null =>
  older.reduce<number | null>((last, { until }) => Math.max(last ?? 0, until), null)
