import type { Chunk, Node } from '../wire/chunk.ts'
import type { AnswerTimes } from './remote/answer-times.ts'

/** One provider at work on a request, this peer or another. Only the first of its ends counts. */
export interface Effort {
  readonly where: 'local' | 'remote'
  readonly node: Node
  /** As the answer names it. */
  readonly model: { name: string; id?: string }
  readonly times: AnswerTimes
  chunks(options: { signal: AbortSignal }): Promise<AsyncIterable<Chunk>>
  succeeded(): void
  /** Nobody is to blame: the client left. */
  left(): void
  /** Returns where another provider may try; throws what the client is told otherwise. */
  failed(error: unknown): void
}

/** As a client is told of it. */
export function nodeOf(
  id: string,
  gpus: readonly { name: string }[],
  country: string | undefined,
): Node {
  const [gpu] = gpus
  return {
    id,
    ...(gpu === undefined ? {} : { gpu: gpu.name }),
    ...(country === undefined ? {} : { country }),
  }
}
