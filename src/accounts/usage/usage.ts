import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { Batch } from '../../storage/batch.ts'
import type { Store } from '../../storage/store.ts'
import type { Table } from '../../storage/table.ts'
import { Pinned } from './pinned.ts'
import {
  DAY_MS,
  dayOf,
  daysOf,
  noUsage,
  type UsageCounts,
  type UsageOf,
  usageKey,
  usageOf,
  usageRows,
} from './usage-rows.ts'

export const usageLimits = {
  /** Kept for so long, of each account: longer than a year is looked back on. */
  daysMax: 400,
  /** Old ones go when an account's day begins; so many at once. */
  prunedAtOnce: 256,
  /** In memory, some 300 bytes each: more than are in use at one time. */
  countersMax: 32_768,
} as const

/** What failed is on the disk after so long. */
const FAILURES_MS = 1_000

export interface UsageComponents {
  store: Store
  clock: Clock
  logger: Logger
}

export type Worked = Pick<UsageCounts, 'inputTokens' | 'cachedTokens' | 'outputTokens' | 'cost'>

/** One request, while its counter must stay in memory. */
export interface Counting {
  /** Resolves when it is there: before `worked`. */
  ready: Promise<void>
  /** Counts with these rows, which are those of its routing entry. */
  worked(worked: Worked, rows: Batch): void
  /** It was not answered, or not to the end: `isCounted` where `worked` was called. */
  failed(request: { isCounted: boolean }): void
  leave(): void
}

interface Counter {
  of: UsageOf
  counts: UsageCounts
  ready: Promise<void>
  isReady: boolean
  /** Set while it counts what failed and is not on the disk. */
  unpin: (() => void) | undefined
}

/**
 * What each account has used: counters by day, key and model, written in the batch of the routing
 * entry that they count, so that nobody ever reads the log for them.
 */
export class Usage {
  readonly #components: UsageComponents
  readonly #table: Table<string, UsageCounts>
  readonly #counters = new Pinned<Counter>(usageLimits.countersMax)
  #unsaved: Counter[] = []
  #cancelSaving: (() => void) | undefined

  constructor(components: UsageComponents) {
    this.#components = components
    this.#table = components.store.table('usage-days', usageRows)
  }

  /** A request has come; its counter is read meanwhile. It counts for the day on which it came. */
  count(of: Omit<UsageOf, 'day'>): Counting {
    const day = dayOf(this.#components.clock.now())
    const key = usageKey({ ...of, day })
    const { item: counter, leave } = this.#counters.pin(key, () => this.#load(key, { ...of, day }))
    return {
      ready: counter.ready,
      worked: (worked, rows) => {
        rows.last((batch) => this.#worked(counter, worked, batch))
      },
      failed: ({ isCounted }) => this.#failed(counter, isCounted),
      leave,
    }
  }

  /** Every counter of these days, both included; what failed a moment ago is in them. */
  async *between(
    account: string,
    days: { from: string; to: string },
    { signal }: { signal: AbortSignal },
  ): AsyncGenerator<[UsageOf, UsageCounts]> {
    await this.save()
    const range = { ...daysOf(account, days.from, days.to), signal }
    for await (const [key, counts] of this.#table.range(range)) yield [usageOf(key), counts]
  }

  /** Writes down what failed. */
  async save(): Promise<void> {
    this.#cancelSaving?.()
    this.#cancelSaving = undefined
    const counters = this.#unsaved
    this.#unsaved = []
    if (counters.length === 0) return
    // What fails from now on is written the next time.
    const unpins = counters.map((counter) => {
      const { unpin } = counter
      counter.unpin = undefined
      return unpin
    })
    const { store } = this.#components
    try {
      await store.commit(
        store.batch().last((rows) => {
          for (const { of, counts } of counters) rows.put(this.#table, usageKey(of), counts)
        }),
      )
    } finally {
      for (const unpin of unpins) unpin?.()
    }
  }

  #load(key: string, of: UsageOf): Counter {
    const counter: Counter = {
      ...{ of, counts: noUsage(), ready: Promise.resolve(), isReady: false, unpin: undefined },
    }
    counter.ready = this.#read(key, counter)
    // Whoever needs it hears of it; the next one reads it again.
    counter.ready.catch(() => this.#counters.forget(key))
    return counter
  }

  async #read(key: string, counter: Counter): Promise<void> {
    const saved = await this.#table.get(key)
    if (saved === undefined) await this.#forgetOld(counter.of)
    else Object.assign(counter.counts, saved)
    counter.isReady = true
  }

  /** The day is new for this account, key and model. */
  async #forgetOld({ account, day }: UsageOf): Promise<void> {
    const { daysMax, prunedAtOnce } = usageLimits
    const before = dayOf(Date.parse(day) - daysMax * DAY_MS)
    const old = { gte: `${account}\0`, lt: `${account}\0${before}`, limit: prunedAtOnce }
    const { store } = this.#components
    const batch = store.batch()
    for await (const [key] of this.#table.range(old)) batch.del(this.#table, key)
    if (batch.rows.length > 0) await store.write(batch)
  }

  #worked(counter: Counter, worked: Worked, batch: Batch): void {
    const { of, counts } = counter
    counts.requests += 1
    counts.inputTokens += worked.inputTokens
    counts.cachedTokens += worked.cachedTokens
    counts.outputTokens += worked.outputTokens
    counts.cost = Math.min(Number.MAX_SAFE_INTEGER, counts.cost + worked.cost)
    batch.state(counter, (rows) => {
      rows.put(this.#table, usageKey(of), counts)
    })
  }

  #failed(counter: Counter, isCounted: boolean): void {
    // One that was not read yet must not be written over.
    if (!counter.isReady) {
      counter.ready.then(() => this.#failed(counter, isCounted)).catch(() => {})
      return
    }
    if (!isCounted) counter.counts.requests += 1
    counter.counts.failed += 1
    if (counter.unpin !== undefined) return
    const { leave } = this.#counters.pin(usageKey(counter.of), () => counter)
    counter.unpin = leave
    this.#unsaved.push(counter)
    this.#cancelSaving ??= this.#components.clock.after(FAILURES_MS, () => {
      this.save().catch((error: unknown) => {
        this.#components.logger.warn('failed requests were not written down', { error })
      })
    })
  }
}
