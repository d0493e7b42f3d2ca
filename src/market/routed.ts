import type { Routed } from '../wire/chunk.ts'
import { ryv1Cid } from '../wire/cid.ts'
import { type OpenReceipt, openDigest } from '../wire/receipt.ts'
import type { Effort } from './effort.ts'
import type { Request } from './request.ts'

/** Who answers, which is said before the first token. */
export function routedChunk(
  { job, model, report, inputTokens }: Pick<Request, 'job' | 'model' | 'report' | 'inputTokens'>,
  effort: Pick<Effort, 'node' | 'model'>,
  open: OpenReceipt | undefined,
): Routed {
  // A model that is asked for by its id is shown by its name.
  const name = job.model === model.id ? effort.model.name : model.name
  const shown = { ...effort.model, name }
  const route = report.route()
  const openCid = open && { openCid: ryv1Cid(openDigest(open)) }
  return { type: 'routed', node: effort.node, model: shown, inputTokens, route, ...openCid }
}
