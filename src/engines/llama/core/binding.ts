import type { Llama, LlamaContext, LlamaModel } from 'node-llama-cpp'
import { PeerError } from '../../../base/errors.ts'

/**
 * The parts of node-llama-cpp's native objects that the tick loop drives itself. They are private to
 * the library: its own queue never forms full batches and cannot be interrupted inside a prompt.
 * This is the only file that reaches for them; `canary-binding.test.ts` notices when they change.
 */
export interface NativeContext {
  initBatch(size: number): void
  /** Returns the logit index of each position named in `logits`, which must ascend. */
  addToBatch(
    sequence: number,
    position: number,
    tokens: Uint32Array,
    logits: Uint32Array,
  ): Uint32Array
  decodeBatch(): Promise<void>
  /** -1 where the sampler left nothing to choose. */
  sampleToken(logitIndex: number, sampler: NativeSampler): Promise<number>
  sampleToken(
    logitIndex: number,
    sampler: NativeSampler,
    probabilities: false,
    confidence: false,
    logits: boolean | LogitFilter,
    totalLogitWeight: boolean,
  ): Promise<SampledLogits>
  /** False where this kind of memory cannot forget a part of a sequence. */
  removeTokenCellsFromSequence(sequence: number, start: number, end: number): boolean
  disposeSequence(sequence: number): void
  copySequenceStateFromOtherSequence(target: number, source: number): Promise<number>
  setThreads(threads: number): void
}

/** includeMax and includeMin are broken in the library, so they are always off. */
export type LogitFilter = [
  tokens: number[],
  includeMax: false,
  includeMin: false,
  includeSelected: boolean,
  includeTop: 0,
]

/** `logits` alternates token and logit, best first. */
export type SampledLogits = [
  token: number,
  probabilities: undefined,
  confidence: undefined,
  logits: number[] | undefined,
  totalLogitWeight: number | undefined,
]

/** A key that is left out switches its sampler off; `topK: 0` would sort the whole vocabulary. */
export interface SamplerConfig {
  temperature?: number
  topK?: number
  topP?: number
  seed?: number
  repeatPenalty?: number
  repeatPenaltyMaxTokens?: number
  repeatPenaltyTokens?: Uint32Array
  repeatPenaltyPresencePenalty?: number
  repeatPenaltyFrequencyPenalty?: number
  tokenBiasKeys?: Uint32Array
  tokenBiasValues?: Float32Array
}

export interface NativeSampler {
  applyConfig(config: SamplerConfig): void
  dispose(): void
}

export interface NativeModel {
  tokenize(text: string, specialTokens: boolean): Uint32Array
  detokenize(tokens: Uint32Array, specialTokens?: boolean): string
  getTokenString(token: number): string | undefined
  getTokenAttributes(token: number): number
  isEogToken(token: number): boolean
}

export interface NativeTemplate {
  render(variables: Record<string, unknown>): string
}

/** What can be reached before a model is loaded. */
export interface NativeLibrary {
  isArchitectureSupported(architecture: string): boolean
  /** Bytes of one tensor; undefined for a type this version does not know. */
  tensorBytes(type: number, elements: number): number | undefined
  compileTemplate(template: string): NativeTemplate
}

interface Bindings {
  AddonSampler: new (model: NativeModel) => NativeSampler
  AddonJinjaRenderer: new (template: string) => NativeTemplate
  getIsArchSupported(architecture: string): boolean
  getBlockSizeForGgmlType(type: number): number | undefined
  getTypeSizeForGgmlType(type: number): number | undefined
}

const contextMethods = [
  'initBatch',
  'addToBatch',
  'decodeBatch',
  'sampleToken',
  'removeTokenCellsFromSequence',
  'disposeSequence',
  'copySequenceStateFromOtherSequence',
  'setThreads',
] as const
const modelMethods = [
  'tokenize',
  'detokenize',
  'getTokenString',
  'getTokenAttributes',
  'isEogToken',
] as const
const bindingMembers = [
  'AddonSampler',
  'AddonJinjaRenderer',
  'getIsArchSupported',
  'getBlockSizeForGgmlType',
  'getTypeSizeForGgmlType',
] as const

export function nativeLibrary(llama: Llama): NativeLibrary {
  const bindings = member<Bindings>(llama, '_bindings', bindingMembers)
  return {
    isArchitectureSupported: (architecture) => bindings.getIsArchSupported(architecture),
    tensorBytes(type, elements) {
      const block = bindings.getBlockSizeForGgmlType(type)
      const bytes = bindings.getTypeSizeForGgmlType(type)
      return block === undefined || bytes === undefined ? undefined : (elements / block) * bytes
    },
    compileTemplate: (template) => new bindings.AddonJinjaRenderer(template),
  }
}

export function nativeContext(context: LlamaContext): NativeContext {
  return member<NativeContext>(context, '_ctx', contextMethods)
}

export function nativeModel(model: LlamaModel): NativeModel {
  return member<NativeModel>(model, '_model', modelMethods)
}

export function newSampler(llama: Llama, model: NativeModel): NativeSampler {
  const bindings = member<Bindings>(llama, '_bindings', bindingMembers)
  return new bindings.AddonSampler(model)
}

/**
 * Samplers that were disposed of are used again. The native object holds a list as long as the
 * vocabulary, 2 MB for 150,000 tokens, until it is collected, and the collector, which sees a tiny
 * object, takes its time. `applyConfig` sets every part anew: nothing of an earlier answer is left.
 */
export function recycling(make: () => NativeSampler): () => NativeSampler {
  const free: NativeSampler[] = []
  return () => {
    const known = free.pop()
    if (known !== undefined) return known
    const fresh = make()
    const dispose = () => {
      if (!free.includes(fresh)) free.push(fresh)
    }
    return Object.defineProperty(fresh, 'dispose', { value: dispose })
  }
}

function member<T>(owner: object, name: string, needed: readonly string[]): T {
  const found: unknown = Reflect.get(owner, name)
  const missing = needed.filter(
    (key) =>
      typeof found !== 'object' || found === null || typeof Reflect.get(found, key) !== 'function',
  )
  if (missing.length > 0) {
    throw new PeerError(
      'engine_incompatible',
      `This node-llama-cpp has no ${name}.{${missing.join(', ')}}. Install version 3.22.1.`,
    )
  }
  return found as T
}
