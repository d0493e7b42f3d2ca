import type { Clock } from '../../base/clock.ts'
import { PeerError } from '../../base/errors.ts'
import type { Batch } from '../../storage/batch.ts'
import type { Store } from '../../storage/store.ts'
import type { Range } from '../../storage/table.ts'
import { type Emit, noEvents } from '../events.ts'
import { ownerAccount } from '../principal.ts'
import { checkGrant, type NewGrant } from './grants.ts'
import {
  entryId,
  entryKey,
  isWallet,
  keyKey,
  type LedgerEntry,
  nameIn,
  type Posting,
  TOTALS_KEY,
  type TotalsRow,
  totalOf,
  type WalletRow,
  walletKey,
} from './ledger-rows.ts'
import { type LedgerTables, ledgerTables } from './ledger-tables.ts'
import { addLot, expiredIn, takeFrom } from './lots.ts'
import { type Charge, type Holder, type Payer, Reservation } from './reservation.ts'

/** What the owner's account is granted at the first start. */
export const OWNER_GRANT = 1_000_000_000

/** Little is left: less than this part of what was there after the last grant. */
const LOW_PART = 10

export interface LedgerComponents {
  store: Store
  clock: Clock
  emit?: Emit
}

export interface LedgerOptions {
  /** Whether a key of this id still exists; what others have spent is forgotten. */
  isKey?(keyId: string): boolean
}

/** Micro-credits. */
export interface Credits {
  /** What could be spent if nothing were set aside. */
  current: number
  reserved: number
  available: number
}

interface Wallet extends WalletRow {
  account: string
  reserved: number
  /** Taken from the lots, and still to be written down. */
  expiring: number
}

/** Of a key. */
interface Allowance {
  spent: number
  reserved: number
}

/**
 * Who has how many credits, and where they came from and went to. Balances are in memory as of the
 * last batch that the store has taken, and on the disk in the same batch as what changed them.
 */
export class Ledger implements Holder {
  readonly #components: Required<LedgerComponents>
  readonly tables: LedgerTables
  readonly #wallets = new Map<string, Wallet>()
  readonly #keys = new Map<string, Allowance>()
  #totals: TotalsRow = { issued: 0, earned: 0, owed: 0, expired: 0, borne: 0, entries: 0 }
  #granting: Promise<unknown> = Promise.resolve()

  private constructor(components: LedgerComponents) {
    this.#components = { emit: noEvents, ...components }
    this.tables = ledgerTables(components.store)
  }

  /** Reads all balances. At the first start the owner's account gets its credits. */
  static async open(components: LedgerComponents, options: LedgerOptions = {}): Promise<Ledger> {
    const ledger = new Ledger(components)
    await ledger.#load(options)
    if (ledger.#wallets.get(ownerAccount) === undefined) {
      await ledger.grant({ account: ownerAccount, amount: OWNER_GRANT })
    }
    return ledger
  }

  /** Sets so much aside. Throws `insufficient_credits`. */
  reserve(payer: Payer, amount: number): Reservation {
    const reservation = new Reservation(this, payer)
    reservation.raise(amount)
    return reservation
  }

  credits({ account, keyId, creditLimit }: Payer): Credits {
    const wallet = this.#wallets.get(account)
    if (wallet === undefined) return { current: 0, reserved: 0, available: 0 }
    this.#sweep(wallet)
    const held = wallet.balance - wallet.expiring
    const allowance = keyId === undefined ? undefined : this.#keys.get(keyId)
    const { spent = 0, reserved = 0 } = allowance ?? {}
    const ofKey = creditLimit === undefined ? held : Math.max(0, creditLimit - spent)
    const current = Math.min(held, ofKey)
    const keyLeft = creditLimit === undefined ? held : Math.max(0, ofKey - reserved)
    const available = Math.min(held - wallet.reserved, keyLeft)
    return { current, reserved: current - available, available }
  }

  /** Resolves with the entry once it is on the disk. One after the other: they are rare. */
  grant(input: NewGrant): Promise<LedgerEntry> {
    const granted = this.#granting.then(() => this.#grant(input))
    this.#granting = granted.catch(() => {})
    return granted
  }

  /** Of one account, by the ids; what has expired is among them. */
  async *entries(account: string, range: Range<string> = {}): AsyncGenerator<LedgerEntry> {
    await this.#writeExpired(account)
    const { gt, lt, ...rest } = range
    const rows = this.tables.entries.range({
      ...rest,
      gt: entryKey(account, gt ?? ''),
      lt: lt === undefined ? `${account}\u0001` : entryKey(account, lt),
    })
    for await (const [, entry] of rows) yield entry
  }

  /** The charge for a job, if it was charged. */
  async chargeOf(jobId: string): Promise<LedgerEntry | undefined> {
    const key = await this.tables.jobs.get(jobId)
    return key === undefined ? undefined : await this.tables.entries.get(key)
  }

  hold(payer: Payer, amount: number): void {
    const { available } = this.credits(payer)
    if (amount > available) throw insufficientCredits(payer, amount, available)
    this.#reserve(payer, amount)
  }

  free(payer: Payer, amount: number): void {
    this.#reserve(payer, -amount)
  }

  charge(payer: Payer, charge: Charge, held: number, batch: Batch): void {
    const { amount } = charge
    if (amount === 0) {
      this.free(payer, held)
      return
    }
    const wallet = this.#walletOf(payer.account)
    // While it is set aside, it does not expire.
    this.#putExpired(wallet, batch)
    // It is enough, unless the work came to more than anybody thought it could.
    const paid = Math.min(amount, held + Math.max(0, this.credits(payer).available))
    this.free(payer, held)
    if (!this.#mayBear(amount - paid)) return
    const postings: Posting[] = earnings(charge)
    if (paid > 0) postings.unshift([walletKey(payer.account), -paid])
    if (paid < amount) postings.push(['borne', paid - amount])
    takeFrom(wallet.lots, paid)
    wallet.balance -= paid
    this.#spent(payer, paid, batch)
    const moved = { amount: 0 - paid, reserved: held, postings }
    this.#write(wallet, { kind: 'charge', ...moved, ...of(charge, payer) }, batch)
    this.#tellIfLow(wallet, batch)
    this.#putWallet(wallet, batch)
  }

  bear(charge: Charge, batch: Batch): void {
    const { amount } = charge
    if (amount === 0 || !this.#mayBear(amount)) return
    const postings: Posting[] = [...earnings(charge), ['borne', -amount]]
    this.#write(undefined, { kind: 'charge', amount: 0, postings, ...of(charge) }, batch)
  }

  /** Beyond that no sum would be exact; nobody has, or is owed, so much. */
  #mayBear(amount: number): boolean {
    const { issued, borne } = this.#totals
    return amount - issued - borne < Number.MAX_SAFE_INTEGER
  }

  async #load({ isKey = () => true }: LedgerOptions): Promise<void> {
    const { balances } = this.tables
    for await (const [key, { type, row }] of balances.range()) {
      if (type === 'totals') this.#totals = row
      else if (type === 'wallet') {
        const account = nameIn(key)
        this.#wallets.set(account, { ...row, account, reserved: 0, expiring: 0 })
      } else if (isKey(nameIn(key))) this.#keys.set(nameIn(key), { spent: row, reserved: 0 })
      else await balances.del(key)
    }
  }

  async #grant({ account, amount, expiresAt }: NewGrant): Promise<LedgerEntry> {
    const { store } = this.#components
    checkGrant(
      { account, amount, expiresAt },
      {
        wallet: this.#wallets.get(account),
        accounts: this.#wallets.size,
        isCountable: this.#mayBear(amount),
        now: this.#components.clock.now(),
      },
    )
    let entry: LedgerEntry | undefined
    const batch = store.batch().last((rows) => {
      const wallet = this.#walletOf(account)
      this.#putExpired(wallet, rows)
      addLot(wallet.lots, { left: amount, expiresAt: expiresAt ?? null })
      wallet.balance += amount
      wallet.high = wallet.balance
      wallet.isLow = false
      const postings: Posting[] = [
        ['issued', -amount],
        [walletKey(account), amount],
      ]
      const until = expiresAt === undefined ? {} : { expiresAt }
      entry = this.#write(wallet, { kind: 'grant', amount, postings, ...until }, rows)
      this.#putWallet(wallet, rows)
    })
    await store.commit(batch)
    return entry as unknown as LedgerEntry
  }

  #reserve({ account, keyId, creditLimit }: Payer, amount: number): void {
    const wallet = this.#wallets.get(account)
    if (wallet === undefined || amount === 0) return
    wallet.reserved += amount
    if (keyId === undefined || creditLimit === undefined) return
    this.#allowanceOf(keyId).reserved += amount
  }

  #walletOf(account: string): Wallet {
    const known = this.#wallets.get(account)
    if (known !== undefined) return known
    const wallet = emptyWallet(account)
    this.#wallets.set(account, wallet)
    return wallet
  }

  #allowanceOf(keyId: string): Allowance {
    const known = this.#keys.get(keyId)
    if (known !== undefined) return known
    const allowance = { spent: 0, reserved: 0 }
    this.#keys.set(keyId, allowance)
    return allowance
  }

  #spent({ keyId }: Payer, amount: number, batch: Batch): void {
    if (keyId === undefined) return
    const allowance = this.#allowanceOf(keyId)
    allowance.spent += amount
    batch.state(allowance, (rows) => {
      rows.put(this.tables.balances, keyKey(keyId), { type: 'key', row: allowance.spent })
    })
  }

  /** What was set aside before it expired is spent all the same; the rest of it is nobody's now. */
  #sweep(wallet: Wallet): void {
    const expired = expiredIn(wallet.lots, this.#components.clock.now())
    const gone = expired - Math.min(expired, wallet.reserved)
    if (gone === 0) return
    takeFrom(wallet.lots, gone)
    wallet.expiring += gone
  }

  #putExpired(wallet: Wallet, batch: Batch): void {
    this.#sweep(wallet)
    const { expiring, account } = wallet
    if (expiring === 0) return
    wallet.expiring = 0
    wallet.balance -= expiring
    const postings: Posting[] = [
      [walletKey(account), -expiring],
      ['expired', expiring],
    ]
    this.#write(wallet, { kind: 'expiry', amount: -expiring, postings }, batch)
    this.#putWallet(wallet, batch)
  }

  async #writeExpired(account: string): Promise<void> {
    const wallet = this.#wallets.get(account)
    if (wallet === undefined) return
    this.#sweep(wallet)
    if (wallet.expiring === 0) return
    const { store } = this.#components
    await store.commit(store.batch().last((rows) => this.#putExpired(wallet, rows)))
  }

  /** Undefined: into this peer's own ledger. */
  #write(
    wallet: Wallet | undefined,
    said: Omit<LedgerEntry, 'id' | 'account' | 'at' | 'balance'>,
    batch: Batch,
  ): LedgerEntry {
    const account = wallet?.account ?? ''
    const number = wallet === undefined ? ++this.#totals.entries : ++wallet.entries
    const at = Math.floor(this.#components.clock.now())
    const balance = wallet?.balance ?? 0
    const entry: LedgerEntry = { id: entryId(number), account, at, balance, ...said }
    const key = entryKey(account, entry.id)
    batch.put(this.tables.entries, key, entry)
    if (entry.jobId !== undefined && wallet !== undefined) {
      batch.put(this.tables.jobs, entry.jobId, key)
    }
    for (const [name, amount] of said.postings) {
      if (!isWallet(name)) this.#totals[totalOf(name)] += amount
    }
    batch.state(this.#totals, (rows) => {
      rows.put(this.tables.balances, TOTALS_KEY, { type: 'totals', row: this.#totals })
    })
    return entry
  }

  #putWallet(wallet: Wallet, batch: Batch): void {
    batch.state(wallet, (rows) => {
      const { account, balance, lots, entries, high, isLow } = wallet
      const row = { balance, lots, entries, high, isLow }
      rows.put(this.tables.balances, walletKey(account), { type: 'wallet', row })
    })
  }

  /** Once, until there is more again. */
  #tellIfLow(wallet: Wallet, batch: Batch): void {
    const available = wallet.balance - wallet.reserved
    if (wallet.isLow || available * LOW_PART >= wallet.high) return
    wallet.isLow = true
    const { account, balance, reserved } = wallet
    const object = {
      object: 'credits',
      current_credits: balance,
      reserved_credits: reserved,
      available_credits: available,
    }
    this.#components.emit({ account, type: 'credits.low', data: { object } }, batch)
  }
}

const emptyWallet = (account: string): Wallet => ({
  account,
  ...{ balance: 0, lots: [], entries: 0, high: 0, isLow: false, reserved: 0, expiring: 0 },
})

const earnings = ({ payees }: Charge): Posting[] =>
  payees.map(({ peerId, amount }) => [peerId === undefined ? 'earned' : `owed:${peerId}`, amount])

const of = ({ jobId, requestId, model, routing }: Charge, payer?: Payer) => ({
  jobId,
  ...(requestId === undefined ? {} : { requestId }),
  ...(payer?.keyId === undefined ? {} : { keyId: payer.keyId }),
  ...(model === undefined ? {} : { model }),
  ...(routing === undefined ? {} : { routing }),
})

export function insufficientCredits(
  { creditLimit }: Pick<Payer, 'creditLimit'>,
  wanted: number,
  available: number,
): PeerError {
  const whose = creditLimit === undefined ? 'this account has' : 'this key may still spend'
  return new PeerError(
    'insufficient_credits',
    `This can cost ${wanted} micro-credits, and ${whose} ${available}. Ask for fewer tokens ` +
      "('max_tokens') or a cheaper model, or ask the owner of this peer for credits.",
  )
}
