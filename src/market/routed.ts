import type { Routed } from '../wire/chunk.ts'
import type { Effort } from './effort.ts'
import type { Request } from './request.ts'

/** Who answers, which is said before the first token. */
export function routedChunk(
  { job, model, report, inputTokens }: Pick<Request, 'job' | 'model' | 'report' | 'inputTokens'>,
  effort: Pick<Effort, 'node' | 'model'>,
  openCid: string | undefined,
): Routed {
  // A model that is asked for by its id is shown by its name.
  const name = job.model === model.id ? effort.model.name : model.name
  const shown = { ...effort.model, name }
  const route = report.route()
  const opened = openCid === undefined ? {} : { openCid }
  return { type: 'routed', node: effort.node, model: shown, inputTokens, route, ...opened }
}
