import type { Issued } from '../../wire/chunk.ts'
import { decodeEntry, readBody, type SealedEntry } from '../../wire/entry.ts'
import { type Execution, openReceiptOf } from '../../wire/execution.ts'
import type { FromProvider } from '../../wire/generate.ts'
import { sameBytes } from '../../wire/octets.ts'
import { peerIdOf } from '../../wire/peer-id.ts'
import { openReceiptHolds, type Receipt, receiptHolds } from '../../wire/receipt.ts'
import type { Verify } from '../../wire/signed.ts'

type DoneFrame = Extract<FromProvider, { type: 'done' }>

/** Of what a provider's receipt must be. */
export interface Commissioned {
  /** `<job id>.<attempt>` */
  jobId: string
  /** The provider's key. */
  nodePk: Uint8Array
  /** The own key. */
  coordinator: Uint8Array
  promptRoot: Uint8Array
  model: string
  /** Of a salted receipt. */
  salt: Uint8Array | undefined
  /** Others than the two parties may hear of it. */
  isPublic: boolean
}

/** What this peer has of the answer. */
export interface Delivered {
  /** Undefined for one that ends where no frame did. */
  resultHash: Uint8Array | undefined
  outputTokens: number
}

/** Of one provider's work. */
export interface Verdict {
  /** What is wrong with it, in a word. */
  dispute?: string
  /** Whether its signature says what is not so: an honest provider never comes to that. */
  isLie: boolean
  /** What holds of what it signed. */
  receipt?: Receipt
  execution?: SealedEntry
}

/** A valid signature is not a valid receipt: this holds it against the job and the answer. */
export function judge(
  frame: DoneFrame,
  { commissioned, delivered }: { commissioned: Commissioned; delivered: Delivered },
  verify: Verify,
): Verdict {
  const { jobId, nodePk } = commissioned
  const { usage } = frame
  if (usage.outputTokens !== delivered.outputTokens) {
    return { dispute: 'count', isLie: frame.receipt !== undefined }
  }
  if (frame.receipt === undefined) return { dispute: 'no_receipt', isLie: false }
  const receipt: Receipt = { jobId, nodePk, ...frame.receipt }
  if (!receiptHolds(receipt, verify)) return { dispute: 'bad_signature', isLie: true }
  const { resultHash } = delivered
  if (resultHash === undefined || !sameBytes(receipt.resultHash, resultHash)) {
    return { dispute: 'wrong_hash', isLie: true, receipt }
  }
  if (receipt.meteringUnits !== Math.max(1, usage.inputTokens + usage.outputTokens)) {
    return { dispute: 'wrong_units', isLie: true, receipt }
  }
  if (frame.entry.length === 0) return { dispute: 'no_entry', isLie: false, receipt }
  const execution = entryOf(frame, { receipt, commissioned }, verify)
  if (execution === undefined) return { dispute: 'wrong_entry', isLie: true, receipt }
  return { isLie: false, receipt, execution }
}

/** Undefined for one that says something else than the receipt, or is about another job. */
function entryOf(
  { entry, usage, drafting }: DoneFrame,
  { receipt, commissioned }: Pick<Issued, 'receipt'> & { commissioned: Commissioned },
  verify: Verify,
): SealedEntry | undefined {
  const sealed = attempt(() => decodeEntry(entry))
  const read = sealed && attempt(() => readBody(sealed.entry))
  if (read?.kind !== 'execution') return undefined
  const { body } = read
  const { coordinator, promptRoot, model, salt } = commissioned
  const { input, cached, output } = body.tokens
  const fits =
    isSame(body.receipt, receipt) &&
    sameBytes(body.coordinator, coordinator) &&
    sameBytes(body.open.promptRoot, promptRoot) &&
    body.model === model &&
    body.privacy === (salt === undefined ? 'plain' : 'salted') &&
    input === usage.inputTokens &&
    cached === usage.cachedTokens &&
    output === usage.outputTokens &&
    isSameDrafting(body.drafting, drafting) &&
    openReceiptHolds(openReceiptOf(body), verify)
  return fits ? sealed : undefined
}

const isSame = (a: Execution['receipt'], b: Receipt): boolean =>
  a.jobId === b.jobId &&
  a.meteringUnits === b.meteringUnits &&
  sameBytes(a.nodePk, b.nodePk) &&
  sameBytes(a.resultHash, b.resultHash) &&
  sameBytes(a.signature, b.signature)

const isSameDrafting = (said: Execution['drafting'], told: DoneFrame['drafting']): boolean =>
  said.length === told.length &&
  said.every(({ drafter, drafted, accepted, rolledBack }, at) => {
    const other = told[at]
    return (
      peerIdOf(drafter) === other?.drafter &&
      drafted === other.drafted &&
      accepted === other.accepted &&
      rolledBack === other.rolledBack
    )
  })

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
