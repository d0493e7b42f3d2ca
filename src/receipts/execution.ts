import type { Done } from '../wire/chunk.ts'
import { executionEntry, type SealedEntry } from '../wire/entry.ts'
import { type Execution, SEGMENTS_MAX } from '../wire/execution.ts'
import type { Price } from '../wire/job.ts'
import type { OpenReceipt, Receipt, Segment } from '../wire/receipt.ts'

/** One job for one node, as far as its receipt is about it. */
export interface Commission {
  /** `<job id>.<attempt>` */
  jobId: string
  /** Asked for once the job is taken on. */
  promptRoot(): Uint8Array
  /** The key of whoever asked. */
  coordinator: Uint8Array
  model: { id: string; name: string }
  price: Price
  /** The country that the node says it is in. */
  region?: string | undefined
  /** For a salted receipt. */
  nonce?: Uint8Array | undefined
  /** Others than the two parties may know of it. */
  isPublic?: boolean
}

/** What came of it. */
export interface Executed
  extends Pick<Done, 'finish' | 'usage'>,
    Pick<Execution, 'work' | 'times' | 'drafting'> {
  receipt: Receipt
  open: OpenReceipt
  segments: Segment[]
  seed?: number
}

/** The entry of the log that says so. */
export function sealedExecution(
  { coordinator, model, price, region, nonce }: Commission,
  { open, segments, usage, ...said }: Executed,
): SealedEntry {
  const { promptRoot, inputTokens, signature } = open
  const { inputTokens: input, cachedTokens: cached, outputTokens: output } = usage
  return executionEntry(said.times.finished, {
    ...said,
    open: { promptRoot, inputTokens, signature },
    segments: segments.slice(-SEGMENTS_MAX),
    coordinator,
    model: model.id,
    modelName: model.name,
    tokens: { input, cached, output },
    price,
    privacy: nonce === undefined ? 'plain' : 'salted',
    ...(region === undefined ? {} : { region }),
  })
}
