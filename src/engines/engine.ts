import type { HardwareFacts } from '../wire/advert.ts'
import type { Generate } from '../wire/chunk.ts'

export type ModelKind = 'chat' | 'embedding'

/**
 * waiting: its turn to load has not come · loading · ready · restarting: its process died and is
 * coming back · failed: it cannot be loaded, `error` says why.
 */
export type ModelState = 'waiting' | 'loading' | 'ready' | 'restarting' | 'failed'

/** What a model says about itself once it is loaded. */
export interface ModelFacts {
  kind: ModelKind
  architecture: string
  parameters: number
  quant: string
  sizeBytes: number
  /** Tokens that fit into one answer's prompt and text together. */
  contextLength: number
  vocabularySize: number
  embeddingLength: number
}

export interface ModelStatus {
  name: string
  /** `cid:<CID of its file>`; undefined until the file was read once. */
  id?: string
  state: ModelState
  /** It is `waiting`, and the next request has it loaded again. */
  unloaded?: boolean
  /** Seconds since the epoch, when this peer began to serve it. */
  created: number
  demo: boolean
  /** What it does, in the words of an advert; without it, what its kind does. */
  capabilities?: readonly string[]
  facts?: ModelFacts
  /** Sequences decoded in parallel. */
  slots?: number
  threads?: number
  running: number
  queued: number
  /** Decoded tokens a second, smoothed over the last answers; undefined before the first. */
  tokensPerSecond?: number
  /** Part of the file that is read, 0 to 1, while `loading`. */
  progress?: number
  /** Tokens it was trained for, where its context had to be shorter. */
  trainedContext?: number
  /** Layers that graphics cards compute. */
  gpuLayers?: number
  error?: { code: string; message: string }
}

/** The models this machine serves, and the one verb that runs them. */
export interface Engine {
  status(): ModelStatus[]
  /** A listed name or an alias of one. */
  resolve(name: string): ModelStatus | undefined
  generate: Generate
  /** What this machine computes with; no graphics cards until a model is loaded. */
  hardware(): HardwareFacts
  /** Called on every change of a state or an id; returns how to end that. */
  onChange(listener: (status: ModelStatus) => void): () => void
  /** Called when a model's `running`, `queued` or `slots` change. Often: a listener does little. */
  onLoad(listener: (status: ModelStatus) => void): () => void
}

/** The machine that computes, as far as the engine can see it. */
export interface Hardware {
  gpu: string[]
  backend: 'cpu' | 'cuda' | 'vulkan' | 'metal'
  vramTotalBytes: number
  vramFreeBytes: number
  cpuThreads: number
}
