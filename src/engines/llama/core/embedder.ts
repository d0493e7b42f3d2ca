import type { LlamaEmbeddingContext, Token } from 'node-llama-cpp'
import type { Clock } from '../../../base/clock.ts'
import { messageOf, PeerError } from '../../../base/errors.ts'
import type { EmbeddingWork } from '../../../wire/job.ts'
import type { Bound } from './bounded-tokenizer.ts'
import { boundOf, contextLengthExceeded } from './job-input.ts'
import type { Outbox } from './outbox.ts'

export interface EmbedderComponents {
  context: LlamaEmbeddingContext
  tokenize: (text: string, bound: Bound) => Token[]
  outbox: Outbox
  clock: Clock
}

export interface EmbedderOptions {
  contextLength: number
  vectorLength: number
}

/** Vectors go out together: a message for each would cost more than many a vector. */
const VECTORS_MAX = 64
/** But not later than this, so that the reader sees that something happens. */
const VECTORS_MS = 200

interface EmbeddingRun {
  id: number
  inputs: Token[][]
  inputTokens: number
  dimensions: number
  cancelled: boolean
}

/** Computes one input after the other, one run after the other. */
export class Embedder {
  readonly #components: EmbedderComponents
  readonly #options: EmbedderOptions
  readonly #waiting: EmbeddingRun[] = []
  #looping: Promise<void> | undefined

  constructor(components: EmbedderComponents, options: EmbedderOptions) {
    this.#components = components
    this.#options = options
  }

  add(id: number, work: EmbeddingWork): void {
    const { context, tokenize, outbox } = this.#components
    const { contextLength, vectorLength } = this.#options
    const { dimensions = vectorLength } = work
    if (dimensions < 1 || dimensions > vectorLength) {
      throw new PeerError(
        'invalid_value',
        `This model's vectors have ${vectorLength} numbers; dimensions can be 1 to ${vectorLength}.`,
        { param: 'dimensions' },
      )
    }
    let inputTokens = 0
    const inputs = work.inputs.map((text, at) => {
      const tokens = tokenize(text, boundOf(contextLength, `input[${at}]`, 'input'))
      const count = context.calculateInputLength(tokens)
      if (count === 0) {
        throw new PeerError('invalid_value', `input[${at}] is empty.`, { param: 'input' })
      }
      if (count > contextLength) {
        throw contextLengthExceeded(contextLength, `input[${at}]`, count, 'input')
      }
      inputTokens += count
      return tokens
    })
    outbox.add(id, { type: 'accepted', inputTokens })
    this.#waiting.push({ id, inputs, inputTokens, dimensions, cancelled: false })
    this.#looping ??= this.#loop()
  }

  cancel(id: number): void {
    const run = this.#waiting.find((waiting) => waiting.id === id)
    if (run === undefined || run.cancelled) return
    run.cancelled = true
    this.#done(run)
  }

  async #loop(): Promise<void> {
    for (let run = this.#waiting[0]; run !== undefined; run = this.#waiting[0]) {
      try {
        await this.#compute(run)
        if (!run.cancelled) this.#done(run)
      } catch (error) {
        const why = `The engine could not compute this: ${messageOf(error)}.`
        if (!run.cancelled) this.#components.outbox.fail(run.id, 'engine_failed', why)
      }
      this.#waiting.shift()
    }
    this.#looping = undefined
  }

  async #compute(run: EmbeddingRun): Promise<void> {
    const { context, outbox, clock } = this.#components
    let first = 0
    let vectors: Float32Array[] = []
    let sentAt = clock.elapsed()
    for (const tokens of run.inputs) {
      if (run.cancelled) return
      const { vector } = await context.getEmbeddingFor(tokens)
      vectors.push(unitVector(vector, run.dimensions))
      if (vectors.length < VECTORS_MAX && clock.elapsed() - sentAt < VECTORS_MS) continue
      this.#deliver(run, first, vectors)
      outbox.flush()
      first += vectors.length
      vectors = []
      sentAt = clock.elapsed()
    }
    if (vectors.length > 0) this.#deliver(run, first, vectors)
  }

  #deliver(run: EmbeddingRun, first: number, vectors: Float32Array[]): void {
    if (!run.cancelled) this.#components.outbox.add(run.id, { type: 'vectors', first, vectors })
  }

  #done({ id, inputTokens }: EmbeddingRun): void {
    const usage = { inputTokens, cachedTokens: 0, outputTokens: 0 }
    this.#components.outbox.add(id, { type: 'done', finish: [], usage })
    this.#components.outbox.flush()
  }
}

/** The first `dimensions` numbers, scaled to length 1. */
export function unitVector(vector: readonly number[], dimensions: number): Float32Array {
  const cut = vector.slice(0, dimensions)
  const length = Math.hypot(...cut)
  return Float32Array.from(cut, (value) => (length === 0 ? 0 : value / length))
}
