import { createHash } from 'node:crypto'
import type { Engine, ModelFacts, ModelStatus } from '../../src/engines/engine.ts'
import type { HardwareFacts } from '../../src/wire/advert.ts'
import type { Chunk, Finish, TokenLogprob } from '../../src/wire/chunk.ts'
import type { Job, Sampling } from '../../src/wire/job.ts'

/** What the engine says to a job. */
export type Script = (job: Job, signal: AbortSignal) => AsyncIterable<Chunk>

const facts: ModelFacts = {
  kind: 'chat',
  architecture: 'llama',
  parameters: 1000,
  quant: 'F32',
  sizeBytes: 4000,
  contextLength: 512,
  vocabularySize: 256,
  embeddingLength: 8,
}

const model = (name: string, more: Partial<ModelStatus> = {}): ModelStatus => ({
  name,
  state: 'ready',
  created: 1_700_000_000,
  demo: false,
  facts,
  running: 0,
  queued: 0,
  ...more,
})

const { facts: _unknown, ...loading } = model('late-model', { state: 'loading', progress: 0.5 })

/** Four models of which it knows no weights: what comes out of them is written in a script. */
export class ScriptedEngine implements Engine {
  script: Script = talk
  readonly jobs: Job[] = []
  /** Jobs whose signal was aborted before their end. */
  aborted = 0
  running = 0
  readonly #models = [
    model('test-chat'),
    model('test-embed', { facts: { ...facts, kind: 'embedding' } }),
    model('org/llama3.2:3b'),
    loading,
  ]

  status(): ModelStatus[] {
    return this.#models
  }

  resolve(name: string): ModelStatus | undefined {
    return this.#models.find((each) => each.name === (name === 'gpt-4o-mini' ? 'test-chat' : name))
  }

  hardware(): HardwareFacts {
    return { gpus: [], cpu: 'Scripted', cpuThreads: 1, ramBytes: 1, backend: 'cpu' }
  }

  onChange(): () => void {
    return () => {}
  }

  onLoad(): () => void {
    return () => {}
  }

  readonly generate = (job: Job, { signal }: { signal: AbortSignal }) => this.#run(job, signal)

  async *#run(job: Job, signal: AbortSignal): AsyncGenerator<Chunk> {
    this.jobs.push(job)
    this.running++
    try {
      yield* this.script(job, signal)
    } finally {
      this.running--
      if (signal.aborted) this.aborted++
    }
  }
}

/** The one answer this model knows, in tokens of which two have to wait for a whole character. */
const ANSWER: [text: string, bytes: number[]][] = [
  ['Hello', [...Buffer.from('Hello')]],
  [' there', [...Buffer.from(' there')]],
  [',', [...Buffer.from(',')]],
  [' f', [...Buffer.from(' f')]],
  ['', [0xc3]],
  ['é', [0xa9]],
  ['e\n\ndata: [DONE]\r\n\r\n', [...Buffer.from('e\n\ndata: [DONE]\r\n\r\n')]],
  ['STOP', [...Buffer.from('STOP')]],
]

export const ANSWER_TEXT = 'Hello there, fée\n\ndata: [DONE]\r\n\r\nSTOP'

/** A model as its users see one: it counts, obeys limits and stops, and scores its tokens. */
export async function* talk(job: Job, signal: AbortSignal): AsyncGenerator<Chunk> {
  if (job.work.kind === 'embedding') {
    yield* embed(job.work.inputs, job.work.dimensions)
    return
  }
  const { sampling } = job.work
  const prompts = job.work.kind === 'completion' ? job.work.prompts.length : 1
  const choices = prompts * sampling.choices
  yield { type: 'accepted', inputTokens: 5 }
  yield { type: 'progress', queued: 0, prefilled: 5, total: 5 }
  const length = Math.min(sampling.maxTokens ?? ANSWER.length, ANSWER.length)
  const finish = new Array<Finish | undefined>(choices)
  let outputTokens = 0
  for (let index = 0; index < length && !signal.aborted; index++) {
    for (let choice = 0; choice < choices; choice++) {
      const [text, bytes] = ANSWER[index] as [string, number[]]
      if (finish[choice] !== undefined) continue
      if (sampling.stop.includes(text)) finish[choice] = 'stop'
      else yield tokens(choice, index, text, bytes, sampling)
      outputTokens++
    }
  }
  const rest: Finish = signal.aborted ? 'cancelled' : length < ANSWER.length ? 'length' : 'stop'
  yield {
    type: 'done',
    finish: Array.from(finish, (each) => each ?? rest),
    usage: { inputTokens: 5, cachedTokens: 2, outputTokens },
  }
}

function tokens(
  choice: number,
  index: number,
  text: string,
  bytes: number[],
  { logprobs }: Sampling,
): Chunk {
  const chunk: Chunk = { type: 'tokens', choice, index, ids: [index], text }
  if (logprobs === undefined) return chunk
  const token = Buffer.from(bytes).toString()
  const other = { token: 'x', bytes: [120], logprob: Number.NEGATIVE_INFINITY }
  const scored: TokenLogprob = { token, bytes, logprob: -0.25, top: [] }
  scored.top = [{ token, bytes, logprob: -0.25 }, other].slice(0, logprobs)
  return { ...chunk, logprobs: [scored] }
}

async function* embed(inputs: string[], dimensions = 8): AsyncGenerator<Chunk> {
  yield { type: 'accepted', inputTokens: inputs.length }
  // The last first: the order of the answer is that of the inputs, not of the work.
  for (const [first, input] of [...inputs.entries()].toReversed()) {
    yield { type: 'vectors', first, vectors: [vectorOf(input, dimensions)] }
  }
  const usage = { inputTokens: inputs.length, cachedTokens: 0, outputTokens: 0 }
  yield { type: 'done', finish: [], usage }
}

export function vectorOf(text: string, dimensions: number): Float32Array {
  const bytes = [...createHash('sha256').update(text).digest().subarray(0, dimensions)]
  const length = Math.hypot(...bytes)
  return Float32Array.from(bytes, (byte) => byte / length)
}

/** Speaks until it is told to stop: one token each time the event loop turns. */
export async function* endless(job: Job, signal: AbortSignal): AsyncGenerator<Chunk> {
  const usage = { inputTokens: 1, cachedTokens: 0, outputTokens: 0 }
  yield { type: 'accepted', inputTokens: 1 }
  for (let index = 0; !signal.aborted; index++) {
    yield { type: 'tokens', choice: 0, index, ids: [index], text: `word${index} ` }
    usage.outputTokens++
    await new Promise((resolve) => setImmediate(resolve))
  }
  const choices = job.work.kind === 'embedding' ? 0 : job.work.sampling.choices
  yield { type: 'done', finish: Array<Finish>(choices).fill('cancelled'), usage }
}

/** Says nothing until it is told to stop, as during a long prompt. */
export async function* silence(_job: Job, signal: AbortSignal): AsyncGenerator<Chunk> {
  yield { type: 'accepted', inputTokens: 1 }
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
  const usage = { inputTokens: 1, cachedTokens: 0, outputTokens: 0 }
  yield { type: 'done', finish: ['cancelled'], usage }
}
