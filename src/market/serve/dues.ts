import { LruMap } from '../../base/lru-map.ts'
import type { OwnFeed } from '../../receipts/feeds/own-feed.ts'
import { jsonValue, textKey } from '../../storage/codec.ts'
import type { Store } from '../../storage/store.ts'
import type { Range, Table } from '../../storage/table.ts'
import { type SealedEntry, tryToReadBody } from '../../wire/entry.ts'
import type { Price } from '../../wire/job.ts'
import { isFree, quote } from '../quote.ts'
import { Refusal } from './refusal.ts'

/** What one coordinator owes this peer, in micro-credits, by this peer's own count. */
export interface Due {
  /** For all that was done for it. */
  worked: number
  /** Of that, what it said it got. */
  acknowledged: number
}

/** Far more coordinators than have jobs here at one time. */
const DUES_MAX = 8_192

const checkDue = (value: unknown): Due => {
  const { worked, acknowledged } = value as Partial<Due>
  if (![worked, acknowledged].every(Number.isSafeInteger)) throw new TypeError('not what is due')
  return value as Due
}

const dueRows = { key: textKey, value: jsonValue(checkDue) }

export interface DuesComponents {
  store: Pick<Store, 'table' | 'batch' | 'commit'>
  log: Pick<OwnFeed, 'append'>
}

export interface DuesOptions {
  price: Price
  /** Whoever owes so much gets no more; undefined: everybody gets all. */
  creditLimit?: number | undefined
}

/** What coordinators owe this peer: written down with the work, and looked at before there is more. */
export class Dues {
  readonly #components: DuesComponents
  #options: DuesOptions
  readonly #table: Table<string, Due>
  readonly #dues = new LruMap<string, Promise<Due>>(DUES_MAX)

  constructor(components: DuesComponents, options: DuesOptions) {
    this.#components = components
    this.#options = options
    this.#table = dueTable(components.store)
  }

  /** For jobs that come from now on. */
  adopt(options: DuesOptions): void {
    this.#options = options
  }

  /** Throws the refusal of a job for who owes too much already: what is at work now comes on top. */
  async check(peerId: string): Promise<void> {
    const { price, creditLimit } = this.#options
    if (creditLimit === undefined || isFree(price)) return
    const { worked } = await this.#due(peerId)
    if (worked < creditLimit) return
    const message = `You owe this peer ${worked} micro-credits, and may owe it ${creditLimit}.`
    throw new Refusal('credit_limit', message)
  }

  /** One job's entries, under which its work is due, go into the log. */
  job(peerId: string, price: Price): JobDue {
    return new JobDue(this, peerId, price)
  }

  /** Adds what a job's entries come to, in the same commit; resolves with what that is. */
  async add(
    peerId: string,
    entries: readonly SealedEntry[],
    { publish, price }: { publish: boolean; price: Price },
  ): Promise<number> {
    const { log, store } = this.#components
    const amount = isFree(price) ? 0 : amountOf(entries)
    if (amount === 0) {
      await log.append(entries, { publish })
      return 0
    }
    const due = await this.#due(peerId)
    const rows = store.batch().last((batch) => {
      due.worked = Math.min(Number.MAX_SAFE_INTEGER, due.worked + amount)
      batch.put(this.#table, peerId, due)
    })
    await log.append(entries, { publish, rows })
    return amount
  }

  async acknowledged(peerId: string, amount: number): Promise<void> {
    const { store } = this.#components
    const due = await this.#due(peerId)
    const rows = store.batch().last((batch) => {
      due.acknowledged = Math.min(due.worked, due.acknowledged + amount)
      batch.put(this.#table, peerId, due)
    })
    await store.commit(rows)
  }

  #due(peerId: string): Promise<Due> {
    const known = this.#dues.get(peerId)
    if (known !== undefined) return known
    const due = this.#table.get(peerId).then((row) => row ?? { worked: 0, acknowledged: 0 })
    this.#dues.set(peerId, due)
    due.catch(() => this.#dues.delete(peerId))
    return due
  }
}

/** What is due for one job. */
export class JobDue {
  readonly #dues: Pick<Dues, 'add' | 'acknowledged'>
  readonly #peerId: string
  readonly #price: Price
  #amount = 0

  constructor(dues: Pick<Dues, 'add' | 'acknowledged'>, peerId: string, price: Price) {
    this.#dues = dues
    this.#peerId = peerId
    this.#price = price
  }

  async append(entries: readonly SealedEntry[], options: { publish: boolean }): Promise<void> {
    const price = this.#price
    this.#amount += await this.#dues.add(this.#peerId, entries, { ...options, price })
  }

  async acknowledged(): Promise<void> {
    if (this.#amount > 0) await this.#dues.acknowledged(this.#peerId, this.#amount)
  }
}

/** In order of the peer ids. */
export const duesOf = (
  store: Pick<Store, 'table'>,
  range: Range<string>,
): AsyncIterable<[peerId: string, due: Due]> => dueTable(store).range(range)

const dueTable = (store: Pick<Store, 'table'>): Table<string, Due> => store.table('dues', dueRows)

/** Of executions, at the price in them. */
function amountOf(entries: readonly SealedEntry[]): number {
  return entries.reduce((sum, { entry }) => {
    const read = tryToReadBody(entry)
    if (read?.kind !== 'execution') return sum
    const { tokens, price } = read.body
    return sum + quote({ inputTokens: tokens.input, outputTokens: tokens.output }, price)
  }, 0)
}
