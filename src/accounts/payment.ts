import type { Batch } from '../storage/batch.ts'
import type { Chunk, Generate } from '../wire/chunk.ts'
import type { Job, Origin } from '../wire/job.ts'
import type { Ledger } from './ledger/ledger.ts'
import type { Charge, Payer, Reservation } from './ledger/reservation.ts'
import type { Counting, Usage, Worked } from './usage/usage.ts'

/** What became of a job, as its routing entry says. */
export interface Settlement extends Pick<Charge, 'amount' | 'payees' | 'routing'> {
  tokens: Omit<Worked, 'cost'>
  /** Nothing of it is in the answer: whoever asked neither pays nor has used it. */
  isInVain: boolean
}

/** Who pays for one job; from before anything of it is done until all is on the disk. */
export class Payment {
  readonly #ledger: Ledger
  readonly #job: Job
  readonly #payer: Payer
  readonly #reservation: Reservation
  readonly #counting: Counting
  /** Those who may still have something to settle, the job itself among them. */
  #holders = 1
  #isSettled = false
  #hasFailed = false

  constructor({ ledger, usage }: TillComponents, job: Job, origin: Origin) {
    const { account, keyId, creditLimit } = origin
    this.#ledger = ledger
    this.#job = job
    this.#payer = {
      account,
      ...(keyId === undefined ? {} : { keyId }),
      ...(creditLimit === undefined ? {} : { creditLimit }),
    }
    this.#reservation = ledger.reserve(this.#payer, 0)
    this.#counting = usage.count({ account, keyId: keyId ?? '', model: job.model })
  }

  /** What could be set aside for it, with what is. */
  get affordable(): number {
    return this.#reservation.amount + this.#ledger.credits(this.#payer).available
  }

  /** Sets aside what it can cost at most, before that is done. Throws `insufficient_credits`. */
  reserve(amount: number): void {
    this.#reservation.raise(amount)
  }

  /** Resolves when `settle` may be called: what it counts on is in memory. */
  get ready(): Promise<void> {
    return this.#counting.ready
  }

  /** Charges, and counts, what was done, with the rows of its routing entry. */
  settle({ tokens, isInVain, ...cost }: Settlement, rows: Batch): void {
    const { id: jobId, model, origin } = this.#job
    const charge = { jobId, model, ...cost, ...(origin && { requestId: origin.requestId }) }
    if (isInVain) {
      rows.last((batch) => this.#ledger.bear(charge, batch))
      return
    }
    this.#isSettled = true
    this.#reservation.settle(charge, rows)
    this.#counting.worked({ ...tokens, cost: cost.amount }, rows)
  }

  /** What is set aside stays so at least until then. */
  hold(until: Promise<unknown>): void {
    this.#holders += 1
    const drop = () => this.#drop()
    until.then(drop, drop)
  }

  /** The job is over. `failed`: and it was not for whoever asked that it came to nothing. */
  over(failed: boolean): void {
    this.#hasFailed = failed
    this.#drop()
  }

  #drop(): void {
    this.#holders -= 1
    if (this.#holders > 0) return
    this.#reservation.release()
    if (this.#hasFailed) this.#counting.failed({ isCounted: this.#isSettled })
    this.#counting.leave()
  }
}

export interface TillComponents {
  ledger: Ledger
  usage: Usage
}

/** How a job is paid, asked for once it begins; undefined for one that nobody's request is behind. */
export type Pay = (job: Job) => Payment | undefined

/** A `Generate` that sees to it that jobs are paid. */
export type PaidGenerate = (
  job: Job,
  options: { signal: AbortSignal; pay?: Pay },
) => AsyncIterable<Chunk>

/** Has accounts pay for their jobs, and counts what they use. */
export function metered(generate: PaidGenerate, till: TillComponents): Generate {
  const pay: Pay = (job) => job.origin && new Payment(till, job, job.origin)
  return (job, { signal }) => generate(job, { signal, pay })
}
