import {
  entryId,
  entryKey,
  type LedgerEntry,
  nameIn,
  TOTALS_KEY,
  type TotalName,
  type TotalsRow,
  totalNames,
  totalOf,
  type WalletRow,
  walletKey,
} from './ledger-rows.ts'
import type { LedgerTables } from './ledger-tables.ts'

/** Whoever reads more of them knows what to do. */
const PROBLEMS_MAX = 100

/** What this peer's log says of its accounts' requests. */
export interface AuditedLog {
  /** What a routing entry comes to; undefined where it is not there any more. */
  routed(routing: string): Promise<{ jobId: string; amount: number } | undefined>
  /** The CIDs of those that say what became of an account's request. */
  answered(options: { signal: AbortSignal }): AsyncIterable<string>
}

export interface AuditComponents {
  tables: LedgerTables
  log: AuditedLog
}

export interface AuditReport {
  /** All balances together: 0. */
  sum: number
  accounts: number
  entries: number
  /**
   * Charges whose routing entry is in this peer's log and says the same, and those without one there;
   * and entries there that nobody was charged for.
   */
  charges: { matched: number; withoutEntry: number; missing: number }
  totals: Record<TotalName, number>
  /** In all wallets together. */
  held: number
  /** What is wrong, in words; the first hundred. */
  problems: string[]
}

/** Recomputes every balance from the entries, and holds every charge against the log, and the log against them. */
export async function audit(
  components: AuditComponents,
  { signal }: { signal: AbortSignal },
): Promise<AuditReport> {
  const recount = new Recount(components, signal)
  await recount.run()
  return recount.report
}

class Recount {
  readonly report: AuditReport = {
    ...{ sum: 0, accounts: 0, entries: 0, held: 0 },
    charges: { matched: 0, withoutEntry: 0, missing: 0 },
    totals: { issued: 0, earned: 0, owed: 0, expired: 0, borne: 0 },
    problems: [],
  }
  readonly #components: AuditComponents
  readonly #signal: AbortSignal
  readonly #spent = new Map<string, number>()
  /** Jobs that this peer paid for itself, few, by so many of its own entries. */
  readonly #borne = new Set<string>()
  #ownRead = 0

  constructor(components: AuditComponents, signal: AbortSignal) {
    this.#components = components
    this.#signal = signal
  }

  /** A peer goes on meanwhile: the balances are of one moment, and each says how many entries made it. */
  async run(): Promise<void> {
    const { tables } = this.#components
    const keys = new Map<string, number>()
    let kept: TotalsRow | undefined
    for await (const [key, { type, row }] of tables.balances.range({ signal: this.#signal })) {
      if (type === 'key') keys.set(nameIn(key), row)
      else if (type === 'wallet') await this.#wallet(nameIn(key), row)
      else if (key === TOTALS_KEY) kept = row
    }
    if (kept !== undefined) await this.#account('', kept.entries)
    this.#totals(kept)
    for (const [keyId, spent] of keys) {
      const counted = this.#spent.get(keyId) ?? 0
      if (counted !== spent) this.#problem(`key ${keyId} has spent ${counted} and not ${spent}`)
    }
    await this.#answers()
  }

  /** An answer and its charge are written together: one that is read now has its charge. */
  async #answers(): Promise<void> {
    const { tables, log } = this.#components
    for await (const routing of log.answered({ signal: this.#signal })) {
      const said = await log.routed(routing)
      if (said === undefined || said.amount === 0) continue
      if ((await tables.jobs.get(said.jobId)) !== undefined) continue
      if (await this.#isBorne(said.jobId)) continue
      this.report.charges.missing += 1
      this.#problem(`${routing} in the log is of ${said.amount}, and nobody was charged`)
    }
  }

  /** Also by those that were written since the audit began. */
  async #isBorne(job: string): Promise<boolean> {
    if (this.#borne.has(job)) return true
    const since = { gt: entryKey('', entryId(this.#ownRead)), lt: '\u0001', signal: this.#signal }
    for await (const [, { jobId }] of this.#components.tables.entries.range(since)) {
      this.#ownRead += 1
      if (jobId !== undefined) this.#borne.add(jobId)
    }
    return this.#borne.has(job)
  }

  async #wallet(account: string, { balance, lots, entries }: WalletRow): Promise<void> {
    this.report.accounts += 1
    this.report.held += balance
    const counted = await this.#account(account, entries)
    if (counted !== balance) {
      this.#problem(`account ${account} has ${balance}, and its entries come to ${counted}`)
    }
    const left = lots.reduce((sum, lot) => sum + lot.left, 0)
    if (left !== balance) this.#problem(`account ${account} has ${balance}, and ${left} to spend`)
    if (balance < 0) this.#problem(`account ${account} has less than nothing: ${balance}`)
  }

  /** What the first so many entries of an account come to. */
  async #account(account: string, entries: number): Promise<number> {
    const { tables } = this.#components
    const range = { gt: entryKey(account, ''), lt: `${account}\u0001`, limit: entries }
    let balance = 0
    let number = 0
    for await (const [key, entry] of tables.entries.range({ ...range, signal: this.#signal })) {
      number += 1
      if (key !== entryKey(account, entryId(number))) {
        this.#problem(`entry ${number} of account ${account} is missing`)
        return balance
      }
      balance += entry.amount
      if (balance !== entry.balance) {
        this.#problem(`${entry.id} of account ${account} says ${entry.balance}, not ${balance}`)
      }
      await this.#entry(key, entry)
    }
    if (number !== entries) {
      this.#problem(`account ${account} has ${number} entries, and not ${entries}`)
    }
    return balance
  }

  async #entry(key: string, entry: LedgerEntry): Promise<void> {
    const { report } = this
    const { account, amount, id, kind, keyId } = entry
    report.entries += 1
    let sum = 0
    let own = 0
    for (const [name, part] of entry.postings) {
      sum += part
      if (name === walletKey(account)) own += part
      else report.totals[totalOf(name)] += part
    }
    if (sum !== 0) this.#problem(`${id} of account ${account} comes to ${sum}, and not to nothing`)
    if (own !== amount) this.#problem(`${id} of account ${account} moves ${own}, not ${amount}`)
    if (keyId !== undefined) this.#spent.set(keyId, (this.#spent.get(keyId) ?? 0) - own)
    if (kind === 'charge') await this.#charge(key, entry)
  }

  async #charge(
    key: string,
    { id, account, jobId, routing, postings }: LedgerEntry,
  ): Promise<void> {
    const { tables, log } = this.#components
    const { charges } = this.report
    if (account !== '' && (await tables.jobs.get(jobId ?? '')) !== key) {
      this.#problem(`${id} of account ${account} charges job ${jobId} once more`)
    }
    const said = routing === undefined ? undefined : await log.routed(routing)
    if (said === undefined) {
      charges.withoutEntry += 1
      return
    }
    charges.matched += 1
    const paid = postings.reduce((all, [, amount]) => all + Math.max(0, amount), 0)
    if (paid === said.amount) return
    const logged = `${routing} in the log of ${said.amount}`
    this.#problem(`${id} of account ${account} is of ${paid}, and ${logged}`)
  }

  #totals(kept: TotalsRow | undefined): void {
    const { report } = this
    report.sum = report.held
    for (const name of totalNames) {
      const counted = report.totals[name]
      const said = kept?.[name] ?? 0
      report.sum += said
      if (counted !== said) this.#problem(`${name} is ${said}, and its entries come to ${counted}`)
    }
    if (report.sum !== 0) this.#problem(`all balances come to ${report.sum}, and not to nothing`)
  }

  #problem(text: string): void {
    if (this.report.problems.length < PROBLEMS_MAX) this.report.problems.push(text)
  }
}
