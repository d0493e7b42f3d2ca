import type { Vectors } from '../../wire/chunk.ts'
import type { FromProvider } from '../../wire/generate.ts'
import { FRAME_BYTES_MAX } from '../../wire/protocols.ts'

const FLOAT_BYTES = 4
/** Tags, lengths and the two numbers beside the values. */
const FRAME_OVERHEAD_BYTES = 64

/** As many whole vectors in each frame as fit. */
export function vectorFrames({ first, vectors }: Vectors): FromProvider[] {
  const length = vectors[0]?.length ?? 0
  if (length === 0) return []
  const fitting = Math.floor((FRAME_BYTES_MAX - FRAME_OVERHEAD_BYTES) / (length * FLOAT_BYTES))
  if (fitting === 0) throw new Error(`a vector of ${length} numbers does not fit into a frame`)
  const frames: FromProvider[] = []
  for (let from = 0; from < vectors.length; from += fitting) {
    const some = vectors.slice(from, from + fitting)
    const values = new Float32Array(some.length * length)
    for (const [at, vector] of some.entries()) values.set(vector, at * length)
    frames.push({ type: 'vectors', first: first + from, length, values })
  }
  return frames
}
