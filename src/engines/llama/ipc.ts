import type { Chunk } from '../../wire/chunk.ts'
import type { Job } from '../../wire/job.ts'
import type { Hardware, ModelFacts } from '../engine.ts'

/** Messages between the peer and its engine process, one process for each model. */
export type ToEngine =
  | { type: 'load'; options: LoadOptions }
  /** With a drafter elsewhere, if there is one: it hears of what is committed. */
  | { type: 'run'; run: number; job: Job; drafter?: string }
  | { type: 'guessed'; run: number; choice: number; first: number; ids: readonly number[] }
  | { type: 'cancel'; run: number }
  /** Measure which threads and parallelism suit this machine; ends at once when a run comes in. */
  | { type: 'calibrate' }

export type FromEngine =
  | { type: 'load-progress'; fraction: number }
  | ReadyMessage
  | { type: 'load-failed'; code: string; message: string }
  /** All chunks of one tick together: one message costs as much as twenty chunks. */
  | { type: 'chunks'; chunks: [run: number, chunk: Chunk][] }
  /** For the run's drafter: these are the tokens of the choice's answer from this position on. */
  | { type: 'committed'; run: number; choice: number; first: number; ids: readonly number[] }
  | { type: 'run-failed'; run: number; code: string; message: string; param?: string }
  | { type: 'calibrated'; result: Calibration }
  | { type: 'calibration-stopped' }

export interface ReadyMessage {
  type: 'ready'
  facts: ModelFacts
  hardware: Hardware
  slots: number
  threads: number
  /** What weights and contexts take, as far as that can be told. */
  memoryBytes?: number
  /** Tokens it was trained for: more than its context, where memory is short. */
  trainedContext?: number
  /** That are computed by graphics cards. */
  gpuLayers?: number
}

export interface LoadOptions {
  modelPath: string
  /** Undefined: as many as fit and help. */
  slots?: number
  /** Undefined: one less than the machine's cores, at least one. */
  threads?: number
  /** Tokens for each sequence. Undefined: what the model was trained for, as far as memory allows. */
  contextLength?: number
  gpu: 'auto' | false
  /** It may take so much memory. Undefined: what is free. */
  memoryMax?: number
  /**
   * One answer at a time, nothing kept for the next one, and each token computed in the same company
   * wherever it is computed: rounding can't make two answers to one request differ.
   */
  reproducible?: boolean
  /** A small model of the same vocabulary, to guess what this one says. */
  draftPath?: string
  /** As calibration found them. */
  batchTimes?: BatchTime[]
  /** Always guess as many tokens ahead; 0: none. Undefined: as many as pay. */
  window?: number
}

/** How long a decode of so many tokens of one answer takes. */
export interface BatchTime {
  tokens: number
  ms: number
}

export interface Calibration {
  slots: number
  threads: number
  /** What was measured, for the curious and for the next version. */
  measured: { threads: number; parallel: number; tokensPerSecond: number }[]
  /** With the threads that were found: what guesses cost. */
  batchTimes?: BatchTime[]
}
