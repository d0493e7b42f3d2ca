import type { Chunk } from '../wire/chunk.ts'

export const isGhost = ({ type }: Chunk): boolean => type === 'provisional' || type === 'rollback'

/** The first of these says who answers. Who left does not hear it any more. */
export function isAnswer(chunk: Chunk): boolean {
  if (chunk.type === 'done') return !chunk.finish.includes('cancelled')
  return chunk.type === 'tokens' || chunk.type === 'vectors'
}
