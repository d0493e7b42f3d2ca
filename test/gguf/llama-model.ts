import { existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { vocabulary } from './vocabulary.ts'
import { ones, randomF32, randomQ8 } from './weights.ts'
import { type Metadata, type Tensor, type TensorType, writeGguf } from './writer.ts'

/** A llama model's measures. With random weights it computes like a real one, and says nothing. */
export interface LlamaShape {
  name: string
  type: TensorType
  vocabulary: number
  embedding: number
  layers: number
  heads: number
  kvHeads: number
  feedForward: number
  context: number
}

/** About 1.6 MB, made in 0.1 s. */
export const tinyShape: LlamaShape = {
  name: 'tiny',
  type: 'F32',
  vocabulary: 1024,
  embedding: 128,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  feedForward: 256,
  context: 4096,
}

/** Half a billion parameters, measured like Qwen2.5-0.5B: 0.5 GB. */
export const halfShape: LlamaShape = {
  name: 'half',
  type: 'Q8_0',
  vocabulary: 151_936,
  embedding: 896,
  layers: 24,
  heads: 14,
  kvHeads: 2,
  feedForward: 4864,
  context: 8192,
}

/** Forty million parameters: 160 MB, made in a second or two. */
export const slowShape: LlamaShape = {
  name: 'slow',
  type: 'F32',
  vocabulary: 1024,
  embedding: 512,
  layers: 12,
  heads: 8,
  kvHeads: 8,
  feedForward: 1536,
  context: 4096,
}

export interface ModelChanges {
  seed?: number
  /** Keys to leave out. */
  without?: readonly string[]
  /** Keys to add or to replace. */
  metadata?: Metadata
  /** Layers from this one on add so much less to what the others say. */
  faint?: { from: number; share: number }
}

/** Deviations with which logits differ enough to sample from. */
const WEIGHT_DEVIATION = 0.04
const EMBEDDING_DEVIATION = 0.08
const Q8_0_FILE_TYPE = 7

export function writeTiny(path: string, changes: ModelChanges = {}): void {
  writeModel(path, tinyShape, changes)
}

/** Takes the file that is there, if any: it is always the same. */
export function writeHalf(path: string): void {
  if (!existsSync(path)) writeModel(path, halfShape)
}

export function writeModel(path: string, shape: LlamaShape, changes: ModelChanges = {}): void {
  mkdirSync(dirname(path), { recursive: true })
  writeGguf(path, modelMetadata(shape, changes), modelTensors(shape, changes))
}

export function modelMetadata(shape: LlamaShape, changes: ModelChanges = {}): Metadata {
  const numbers = {
    'general.file_type': shape.type === 'Q8_0' ? Q8_0_FILE_TYPE : 0,
    'general.quantization_version': 2,
    'llama.vocab_size': shape.vocabulary,
    'llama.context_length': shape.context,
    'llama.embedding_length': shape.embedding,
    'llama.block_count': shape.layers,
    'llama.feed_forward_length': shape.feedForward,
    'llama.attention.head_count': shape.heads,
    'llama.attention.head_count_kv': shape.kvHeads,
    'llama.rope.dimension_count': shape.embedding / shape.heads,
  }
  const metadata: Metadata = {
    'general.architecture': { type: 'string', value: 'llama' },
    'general.name': { type: 'string', value: shape.name },
    ...Object.fromEntries(
      Object.entries(numbers).map(([key, value]) => [key, { type: 'u32', value }]),
    ),
    'llama.attention.layer_norm_rms_epsilon': { type: 'f32', value: 1e-5 },
    'llama.rope.freq_base': { type: 'f32', value: 10_000 },
    ...vocabulary(shape.vocabulary),
    ...changes.metadata,
  }
  const without = new Set(changes.without)
  return Object.fromEntries(Object.entries(metadata).filter(([key]) => !without.has(key)))
}

/** The output layer is the embedding, as in small models of this kind. */
export function modelTensors(
  shape: LlamaShape,
  { seed = 1, faint }: Pick<ModelChanges, 'seed' | 'faint'> = {},
): Tensor[] {
  const random = shape.type === 'Q8_0' ? randomQ8 : randomF32
  const matrix = (name: string, row: number, rows: number, deviation = WEIGHT_DEVIATION) =>
    random(`${name}.weight`, [row, rows], { seed, deviation })
  const { embedding, feedForward } = shape
  const added = (layer: number) =>
    WEIGHT_DEVIATION * (faint !== undefined && layer >= faint.from ? faint.share : 1)
  const kv = (embedding / shape.heads) * shape.kvHeads
  return [
    matrix('token_embd', embedding, shape.vocabulary, EMBEDDING_DEVIATION),
    ones('output_norm.weight', embedding),
    ...Array.from({ length: shape.layers }, (_, layer) => [
      ones(`blk.${layer}.attn_norm.weight`, embedding),
      matrix(`blk.${layer}.attn_q`, embedding, embedding),
      matrix(`blk.${layer}.attn_k`, embedding, kv),
      matrix(`blk.${layer}.attn_v`, embedding, kv),
      matrix(`blk.${layer}.attn_output`, embedding, embedding, added(layer)),
      ones(`blk.${layer}.ffn_norm.weight`, embedding),
      matrix(`blk.${layer}.ffn_gate`, embedding, feedForward),
      matrix(`blk.${layer}.ffn_up`, embedding, feedForward),
      matrix(`blk.${layer}.ffn_down`, feedForward, embedding, added(layer)),
    ]).flat(),
  ]
}
