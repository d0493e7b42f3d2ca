import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { endTokens } from '../../test/gguf/vocabulary.ts'

const entry = fileURLToPath(new URL('../../src/engines/llama/child.ts', import.meta.url))

export interface BatchTime {
  tokens: number
  ms: number
}

export interface Drafted {
  drafter: string
  drafted: number
  accepted: number
  rolledBack: number
}

/** The part of what an engine process says that this bench needs. */
type Message =
  | { type: 'load-progress' | 'calibration-stopped' | 'ready' }
  | { type: 'load-failed' | 'run-failed'; message: string }
  | { type: 'calibrated'; result: { batchTimes?: BatchTime[] } }
  | { type: 'chunks'; chunks: [run: number, chunk: Chunk][] }

type Chunk =
  | { type: 'accepted' | 'progress' | 'provisional' | 'rollback' }
  | { type: 'tokens'; ids: number[] }
  | { type: 'done'; drafting?: Drafted[] }

export interface EngineOptions {
  model: string
  vocabulary: number
  draft?: string | undefined
  batchTimes?: BatchTime[]
  /** Undefined: as many guesses as pay. */
  window?: number | undefined
}

export interface Written {
  ids: number[]
  /** Of each token, from the question on. */
  ms: number[]
  firstGhostMs: number | undefined
  drafting: Drafted[]
}

/** Our engine process alone, on one thread, with one answer at a time. */
export class Engine {
  readonly #child: ChildProcess
  readonly #vocabulary: number
  #run = 0

  private constructor(child: ChildProcess, vocabulary: number) {
    this.#child = child
    this.#vocabulary = vocabulary
  }

  static async start({ model, vocabulary, draft, ...more }: EngineOptions): Promise<Engine> {
    const child = fork(entry, { serialization: 'advanced' })
    const engine = new Engine(child, vocabulary)
    const fixed = { slots: 1, threads: 1, contextLength: 1024, gpu: false }
    const draftPath = draft === undefined ? {} : { draftPath: draft }
    const options = { modelPath: model, ...fixed, ...draftPath, ...more }
    child.send({ type: 'load', options })
    await engine.#until((message) => message.type === 'ready' || undefined)
    return engine
  }

  /** How long decodes of several tokens of one answer take. */
  async calibrate(): Promise<BatchTime[]> {
    this.#child.send({ type: 'calibrate' })
    return await this.#until((message) =>
      message.type === 'calibrated' ? (message.result.batchTimes ?? []) : undefined,
    )
  }

  async answer(prompt: string, tokens: number, watched = false, temperature = 0): Promise<Written> {
    const run = ++this.#run
    const began = performance.now()
    const written: Written = { ids: [], ms: [], firstGhostMs: undefined, drafting: [] }
    this.#child.send({
      type: 'run',
      run,
      job: { ...this.#job(prompt, tokens, temperature), watched },
    })
    await this.#until((message) => {
      if (message.type !== 'chunks') return undefined
      const now = performance.now() - began
      for (const [, chunk] of message.chunks.filter(([of]) => of === run)) {
        if (chunk.type === 'provisional') written.firstGhostMs ??= now
        if (chunk.type === 'done') written.drafting = chunk.drafting ?? []
        if (chunk.type !== 'tokens') continue
        written.ids.push(...chunk.ids)
        for (const _ of chunk.ids) written.ms.push(now)
      }
      return message.chunks.some(([of, { type }]) => of === run && type === 'done') || undefined
    })
    return written
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.#child.disconnect()
    await ended
  }

  /** What `take` makes of the first message that it makes something of. */
  #until<T>(take: (message: Message) => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#child.off('message', onMessage)
        this.#child.off('exit', onExit)
      }
      const onExit = () => reject(new Error('the engine process ended'))
      const onMessage = (message: Message) => {
        if (message.type === 'load-failed' || message.type === 'run-failed') {
          leave()
          reject(new Error(message.message))
          return
        }
        const taken = take(message)
        if (taken === undefined) return
        leave()
        resolve(taken)
      }
      this.#child.on('message', onMessage)
      this.#child.on('exit', onExit)
    })
  }

  /** Without ends, so that each answer has as many tokens as were asked for. */
  #job(prompt: string, maxTokens: number, temperature: number): object {
    const bans = endTokens(this.#vocabulary).map((token) => [token, -100])
    const penalties = { presencePenalty: 0, frequencyPenalty: 0 }
    const draws = { temperature, topP: 1, seed: 1, choices: 1, stop: [] }
    const sampling = { ...draws, ...penalties, maxTokens, logitBias: bans }
    const work = { kind: 'completion', prompts: [prompt], sampling }
    return { id: `job_${this.#run}`, model: 'it', cacheScope: 'bench', work }
  }
}
