import { PeerError } from '../../base/errors.ts'
import type { Chunk } from '../../wire/chunk.ts'
import type { Resume } from '../../wire/generate.ts'

/** The same chunks of an own engine; one that begins anew fails instead of saying things twice. */
export async function* continued(
  chunks: AsyncIterable<Chunk>,
  resumes: readonly Resume[],
): AsyncGenerator<Chunk> {
  const next = new Map(resumes.map(({ choice, ids }) => [choice, ids.length]))
  for await (const chunk of chunks) {
    if (chunk.type === 'tokens') {
      const { choice, index, ids } = chunk
      if (index !== (next.get(choice) ?? 0)) {
        throw new PeerError('engine_failed', 'The engine did not go on where it was to.')
      }
      next.set(choice, index + ids.length)
    }
    yield chunk
  }
}
