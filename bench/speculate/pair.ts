import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type LlamaShape, slowShape, writeModel } from '../../test/gguf/llama-model.ts'
import { cacheFolder } from '../cache.ts'

/** A model, and a small one of the same vocabulary that drafts for it. */
export interface Pair {
  name: string
  model: string
  draft: string
  vocabulary: number
}

const demo = (file: string) => fileURLToPath(new URL(`../../models/${file}`, import.meta.url))

export const demoPair: Pair = {
  name: 'demo, Q8_0',
  model: demo('pinaivu-demo-q8_0.gguf'),
  draft: demo('pinaivu-demo-draft-q8_0.gguf'),
  vocabulary: 2048,
}

const SEED = 7
const DRAFT_LAYERS = 2

/**
 * A model of random weights in F32, 160 MB, of which all but the first two layers add only `share` of
 * what they would; and those two layers alone. The smaller the share, the more often both agree.
 */
export function pinnedPair(share: number): Pair {
  const shape: LlamaShape = { ...slowShape, name: `pinned-${share}` }
  const small = { ...slowShape, name: 'pinned-draft', layers: DRAFT_LAYERS }
  const model = join(cacheFolder, `${shape.name}-${SEED}.gguf`)
  const draft = join(cacheFolder, `${small.name}-${SEED}.gguf`)
  const faint = { from: DRAFT_LAYERS, share }
  if (!existsSync(model)) writeModel(model, shape, { seed: SEED, faint })
  if (!existsSync(draft)) writeModel(draft, small, { seed: SEED })
  return { name: `pinned, F32, share ${share}`, model, draft, vocabulary: shape.vocabulary }
}
