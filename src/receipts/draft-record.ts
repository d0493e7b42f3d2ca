import type { Clock } from '../base/clock.ts'
import type { Done, Issued, Tokens } from '../wire/chunk.ts'
import type { Execution } from '../wire/execution.ts'
import { type OpenReceipt, signReceipt } from '../wire/receipt.ts'
import { type Commission, sealedExecution } from './execution.ts'
import { GuessHash } from './guess-hash.ts'
import type { IssueComponents } from './issue.ts'
import { Opening } from './opening.ts'

/** What this machine signs of drafting for another's answer. Only what came true is work. */
export class DraftRecord {
  readonly hash: GuessHash
  readonly #components: IssueComponents
  readonly #commission: Commission
  readonly #times: Execution['times']
  #opening: Opening | undefined

  constructor(components: IssueComponents, commission: Commission) {
    const now = nowOf(components)
    this.hash = new GuessHash(commission.nonce)
    this.#components = components
    this.#commission = commission
    this.#times = { received: now, started: now, finished: now }
  }

  /** That this machine took on the job; the first call counts. Nobody pays for the prompt. */
  open(): OpenReceipt {
    if (this.#opening !== undefined) return this.#opening.signed()
    const { identity, live } = this.#components
    const { jobId, promptRoot, isPublic = false } = this.#commission
    const fields = { jobId, nodePk: identity.publicKey, promptRoot: promptRoot(), inputTokens: 0 }
    this.#opening = new Opening(identity, fields)
    live.opening(this.#opening, { isPublic })
    return this.#opening.signed()
  }

  counted(): void {}

  vectors(): void {}

  /** Guesses, as they leave. */
  tokens({ index, ids }: Pick<Tokens, 'index' | 'ids'>): undefined {
    this.#times.firstToken ??= nowOf(this.#components)
    this.hash.guessed(index, ids)
  }

  /** The receipt for the first so many that came true, and the entry of the log. */
  sealed({ finish, usage }: Done): Issued {
    const { identity, live } = this.#components
    const resultHash = this.hash.digestOf(usage.outputTokens)
    if (resultHash === undefined) throw new RangeError('fewer guesses came true')
    const open = this.open()
    const { jobId, nodePk } = open
    const fields = { jobId, nodePk, resultHash, meteringUnits: usage.outputTokens }
    const receipt = signReceipt(fields, (message) => identity.sign(message))
    live.finished(receipt)
    this.#times.finished = nowOf(this.#components)
    const said = { receipt, open, segments: [], work: 'draft', drafting: [] }
    const ended = { ...said, times: this.#times, finish, usage }
    return { receipt, execution: sealedExecution(this.#commission, ended) }
  }
}

const nowOf = ({ clock }: { clock: Clock }): number => Math.floor(clock.now())
