import { verifyReceipt } from '../../src/sdk/index.ts'
import type { ReadyLine } from '../peer-process.ts'
import type { Answer } from './answer.ts'

/** Per 1,000 tokens, in micro-credits: what rounds, so that sums can go wrong. */
export const PRICE = { input: 1_001, output: 2_003 }

/** One provider's part of an answer. */
export interface PartPaid {
  node: string
  outputTokens: number
  /** Micro-credits. */
  amount: number
}

/** What the log says of one answer, and what is wrong with that. */
export interface Checked {
  problems: string[]
  parts: PartPaid[]
  amount: number
  /** Each of them as `receipts verify` takes it. */
  files: string[]
}

interface RoutingJson {
  ryv1_cid: string
  verified: boolean
  verdict: string
  usage: { input_tokens: number; output_tokens: number }
  payment: { amount: string; payouts: { node_id: string; amount: string }[] }
  parts: { cid: string; node: string; status: string; tokens: TokensJson }[]
}

interface TokensJson {
  input: number
  output: number
}

/** Holds the receipts of an answer against what its client saw, by arithmetic alone. */
export async function checkReceipts(
  gateway: Pick<ReadyLine, 'http' | 'apiKey'>,
  answer: Answer,
  { signal }: { signal: AbortSignal },
): Promise<Checked> {
  const check = new ReceiptsCheck(gateway, answer, signal)
  try {
    await check.run()
  } catch (error) {
    signal.throwIfAborted()
    check.checked.problems.push(error instanceof Error ? error.message : String(error))
  }
  return check.checked
}

class ReceiptsCheck {
  readonly checked: Checked = { problems: [], parts: [], amount: 0, files: [] }
  readonly #gateway: Pick<ReadyLine, 'http' | 'apiKey'>
  readonly #answer: Answer
  readonly #signal: AbortSignal

  constructor(gateway: Pick<ReadyLine, 'http' | 'apiKey'>, answer: Answer, signal: AbortSignal) {
    this.#gateway = gateway
    this.#answer = answer
    this.#signal = signal
  }

  async run(): Promise<void> {
    const { receipt: cid = '', requestId, text, resumed, nodes } = this.#answer
    const routing = JSON.parse(await this.#get(`/v1/receipts/${requestId}`)) as RoutingJson
    this.#routing(routing)
    await this.#verify(cid, { answer: text })
    const units = new Map<string, number>()
    for (const part of routing.parts) units.set(part.cid, await this.#verify(part.cid))
    this.#sums(routing, units)
    // Of one that was lost before it signed anything there is no part.
    const least = resumed === 0 ? nodes.length : 1
    this.#must(routing.parts.length >= least, `only ${routing.parts.length} parts are in the log`)
    this.#must(
      routing.parts.every(({ node }) => nodes.includes(node)),
      'a part is of a peer that did nothing of the answer',
    )
  }

  #routing({ ryv1_cid, verified, verdict, usage }: RoutingJson): void {
    const { receipt, inputTokens, outputTokens } = this.#answer
    this.#must(ryv1_cid === receipt, 'the log has another receipt than the answer')
    this.#must(verified, 'what the coordinator signed does not hold')
    this.#must(verdict === 'ok', `the answer is disputed`)
    this.#must(
      usage.input_tokens === inputTokens && usage.output_tokens === outputTokens,
      `the log counts ${usage.output_tokens} tokens, the client was told ${outputTokens}`,
    )
  }

  /** Every micro-credit and every token is in some part. */
  #sums({ parts, payment }: RoutingJson, units: ReadonlyMap<string, number>): void {
    const { checked } = this
    const { resumed, outputTokens } = this.#answer
    checked.amount = Number(payment.amount)
    checked.parts = parts.map(({ node, tokens }, at) => {
      const amount = Number(payment.payouts[at]?.amount)
      return { node, outputTokens: tokens.output, amount }
    })
    const paid = checked.parts.reduce((sum, { amount }) => sum + amount, 0)
    this.#must(paid === checked.amount, `the parts cost ${paid}, the whole ${checked.amount}`)
    const written = checked.parts.reduce((sum, part) => sum + part.outputTokens, 0)
    // Tokens of which nobody signed any are in no part.
    const all = parts.length === resumed + 1 ? written : Math.max(written, outputTokens)
    this.#must(all === outputTokens, `the parts have ${written} tokens, the whole ${outputTokens}`)
    this.#must(written <= outputTokens, `the parts have more tokens than the whole`)
    const price = parts.reduce((sum, { cid, status, tokens: { input, output } }) => {
      // Whoever was lost is paid for what it signed, and the prompt by whom the answer is ended.
      if (status === 'segment') return sum + ((units.get(cid) ?? 0) - input) * PRICE.output
      return sum + input * PRICE.input + output * PRICE.output
    }, 0)
    const due = Math.ceil(price / 1000)
    this.#must(due === checked.amount, `it costs ${checked.amount}, and should cost ${due}`)
  }

  /** The units that it is about. */
  async #verify(cid: string, options: { answer?: string } = {}): Promise<number> {
    const text = await this.#get(`/v8/receipts/${cid}`)
    const { holds, findings } = verifyReceipt(text, { cid, ...options })
    const wrong = findings.filter((finding) => !finding.holds).map(({ says }) => says)
    this.#must(holds, `${cid}: ${wrong.join(' ')}`)
    this.checked.files.push(text)
    const { metering_units: units } = JSON.parse(text) as { metering_units: number }
    return units
  }

  async #get(path: string): Promise<string> {
    const { http, apiKey } = this.#gateway
    const headers = { authorization: `Bearer ${apiKey}` }
    const answer = await fetch(new URL(path, http), { headers, signal: this.#signal })
    const text = await answer.text()
    if (answer.status !== 200) throw new Error(`${path} is answered with ${answer.status}: ${text}`)
    return text
  }

  #must(holds: boolean, problem: string): void {
    if (!holds) this.checked.problems.push(problem)
  }
}
