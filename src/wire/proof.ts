import { messageOf } from '../base/errors.ts'
import { type Cid, ryv1Cid } from './cid.ts'
import { type Body, decodeEntry, readBody } from './entry.ts'
import { type Execution, openReceiptOf, segmentReceiptsOf } from './execution.ts'
import { sameBytes } from './octets.ts'
import { peerIdOf } from './peer-id.ts'
import type { Proof } from './proof-file.ts'
import { openReceiptHolds, type Receipt, receiptDigest, receiptHolds } from './receipt.ts'
import { ResultHasher } from './result-hash.ts'
import { type Routing, routingHolds } from './routing.ts'
import type { Verify } from './signed.ts'
import { type Found, type OpenFound, openFound } from './sync.ts'

export {
  fileBounds,
  type Proof,
  type ProofJson,
  proofJson,
  readProof,
  readProofJson,
} from './proof-file.ts'

/** One thing that was checked. */
export interface Finding {
  what: 'receipt' | 'entry' | 'execution' | 'routing' | 'answer'
  holds: boolean
  /** A sentence for people. */
  says: string
}

export interface ProofReport {
  cid: string
  /** The peer that signed the receipt. */
  node: string
  /** All that was checked holds. */
  holds: boolean
  findings: Finding[]
  /** What nobody can tell from this file, in sentences. */
  unproved: string[]
}

/** One of the answers to a request. */
export interface AnsweredChoice {
  content: string
  /** What the model asked to be called, in order. */
  calls: readonly { name: string; arguments: string }[]
}

export interface ProofOptions {
  verify: Verify
  /** What was answered, to see that it is that: one choice's text, or all choices in order. */
  answer?: string | readonly AnsweredChoice[]
  /** Where the receipt's hash is salted. */
  nonce?: Uint8Array
}

/** Checks all that a file says against itself; needs nothing and nobody else. */
export function checkProof(proof: Proof, options: ProofOptions): ProofReport {
  const checker = new Checker(proof, options)
  checker.checkReceipt()
  checker.checkEntries()
  if (options.answer !== undefined) checker.checkAnswer(options.answer)
  return checker.report()
}

/** An entry whose place holds, and what it says. */
interface Read {
  opened: OpenFound
  body: Body
  /** The receipt that the file is about is in it. */
  isAbout: boolean
}

class Checker {
  readonly #proof: Proof
  readonly #options: ProofOptions
  readonly #digest: Uint8Array
  readonly #findings: Finding[] = []
  readonly #read: Read[] = []

  constructor(proof: Proof, options: ProofOptions) {
    this.#proof = proof
    this.#options = options
    this.#digest = receiptDigest(proof.receipt)
  }

  checkReceipt(): void {
    const { receipt } = this.#proof
    this.#find(
      'receipt',
      receiptHolds(receipt, this.#options.verify),
      `${peerIdOf(receipt.nodePk)} signed ${receipt.meteringUnits} units for job ${receipt.jobId}.`,
    )
  }

  checkEntries(): void {
    for (const found of this.#proof.entries) this.#checkEntry(found)
    for (const read of this.#read) {
      const { kind, body } = read.body
      if (kind === 'execution') this.#checkExecution(body, read)
      if (kind === 'routing') this.#checkRouting(body, read)
    }
  }

  checkAnswer(answer: string | readonly AnsweredChoice[]): void {
    const { nonce } = this.#options
    const isText = typeof answer === 'string'
    const all = isText ? [{ content: answer, calls: [] }] : answer
    const hasher = new ResultHasher({ choices: all.length, ...(nonce && { nonce }) })
    for (const [choice, { content, calls }] of all.entries()) {
      hasher.text(choice, content)
      for (const [index, { name, arguments: piece }] of calls.entries()) {
        hasher.tool(choice, index, { name, piece })
      }
    }
    const isIt = sameBytes(hasher.digest(), this.#proof.receipt.resultHash)
    const what = isText ? 'text' : 'answer'
    this.#find('answer', isIt, `The ${what} is the one that the receipt is about.`)
  }

  report(): ProofReport {
    const { receipt } = this.#proof
    return {
      cid: ryv1Cid(this.#digest),
      node: peerIdOf(receipt.nodePk),
      holds: this.#findings.every(({ holds }) => holds),
      findings: this.#findings,
      unproved: this.#unproved(),
    }
  }

  #checkEntry(found: Found): void {
    const { network } = this.#proof
    try {
      const { cid } = decodeEntry(found.entry)
      const opened = openFound(found, cid, { network, verify: this.#options.verify })
      const body = readBody(opened.entry)
      this.#find('entry', true, placeOf(opened, network))
      if (body !== undefined) this.#read.push({ opened, body, isAbout: this.#isIn(body) })
    } catch (error) {
      this.#find('entry', false, messageOf(error))
    }
  }

  #checkExecution(execution: Execution, { opened, isAbout }: Read): void {
    const { verify } = this.#options
    const { receipt } = execution
    // Of an answer that several worked on, the routing has the receipt and names the parts.
    const isNamed = this.#read.some(
      ({ body, isAbout }) => isAbout && body.kind === 'routing' && names(body.body, opened.cid),
    )
    this.#find(
      'execution',
      sameBytes(opened.head.author, receipt.nodePk) &&
        (isAbout || isNamed) &&
        receiptHolds(receipt, verify) &&
        openReceiptHolds(openReceiptOf(execution), verify),
      `Its node says that it was ${execution.modelName} (${execution.model}), for ` +
        `${peerIdOf(execution.coordinator)}.`,
    )
  }

  #checkRouting(routing: Routing, { opened, isAbout }: Read): void {
    const { verify } = this.#options
    const { network } = this.#proof
    const namesOne = this.#read.some(
      (read) => read.isAbout && read.body.kind === 'execution' && names(routing, read.opened.cid),
    )
    const verdict = routing.dispute === undefined ? 'ok' : `disputed: ${routing.dispute}`
    this.#find(
      'routing',
      sameBytes(opened.head.author, routing.coordinator) &&
        (isAbout || namesOne) &&
        receiptsOfRouting(routing).every((receipt) => receiptHolds(receipt, verify)) &&
        routingHolds(opened.entry.body, { network, verify }),
      `${peerIdOf(routing.coordinator)}, who asked for it, found it ${verdict}; ` +
        `tokens ${routing.count}; attestation ${routing.attestation}.`,
    )
  }

  #isIn(body: Body): boolean {
    if (body.kind === 'revocation') return false
    const receipts =
      body.kind === 'execution' ? receiptsOfExecution(body.body) : receiptsOfRouting(body.body)
    return receipts.some((receipt) => sameBytes(receiptDigest(receipt), this.#digest))
  }

  #find(what: Finding['what'], holds: boolean, says: string): void {
    this.#findings.push({ what, holds, says: holds ? says : `This does not hold: ${says}` })
  }

  #unproved(): string[] {
    const kinds = this.#read.map(({ body }) => body.kind)
    const isSalted = this.#read.some(
      ({ body }) => body.kind !== 'revocation' && body.body.privacy === 'salted',
    )
    const give = isSalted ? 'give the text and its nonce' : 'give the text'
    return [
      ...(kinds.includes('execution') ? [] : ['Which model it was: the node’s entry is not here.']),
      ...(kinds.includes('routing') ? [] : ['Who asked, and was content: no entry says so.']),
      ...(this.#options.answer === undefined ? [`Which text it is about: ${give} to see.`] : []),
      'That this model really ran, and that the answer is a good one.',
      'That the logs tell everybody the same: compare these heads with those that others have.',
    ]
  }
}

const receiptsOfExecution = (execution: Execution): Receipt[] => [
  execution.receipt,
  ...segmentReceiptsOf(execution),
]

const receiptsOfRouting = ({ whole, parts }: Routing): Receipt[] =>
  [whole, ...parts.map(({ receipt }) => receipt)].filter((receipt) => receipt !== undefined)

const names = ({ parts }: Routing, cid: Cid): boolean =>
  parts.some(({ execution }) => execution !== undefined && sameBytes(execution.digest, cid.digest))

function placeOf({ cid, entry, head, index }: OpenFound, network: string): string {
  const author = peerIdOf(head.author)
  const time = new Date(head.at).toISOString()
  return (
    `${cid} (${entry.kind}) is entry ${index} of ${head.size} in the log of ${author}, ` +
    `network ${network}, by the head that it signed at ${time}.`
  )
}
