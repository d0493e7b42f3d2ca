import { basename } from 'node:path'
import type { Clock } from '../../../base/clock.ts'
import { messageOf, PeerError } from '../../../base/errors.ts'
import type { Job } from '../../../wire/job.ts'
import type { LoadOptions, ToEngine } from '../ipc.ts'
import { boundedTokenizer } from './bounded-tokenizer.ts'
import { ChatEngine } from './chat-engine.ts'
import { Embedder } from './embedder.ts'
import { factsOf, hardwareOf, loadFailure, type OpenModel, openModel } from './load.ts'
import { Outbox, type Send } from './outbox.ts'
import type { Drafter } from './speculation/drafter.ts'

/** Longer inputs would need gigabytes of work memory: an embedding is computed in one decode. */
const EMBEDDING_CONTEXT_MAX = 8192

export interface EngineCoreComponents {
  send: Send
  clock: Clock
  /** Undefined: prompt look-up. */
  drafters?: readonly Drafter[] | undefined
}

/** What the engine process does, without the process: messages in, messages out. */
export class EngineCore {
  readonly #clock: Clock
  readonly #outbox: Outbox
  readonly #drafters: readonly Drafter[] | undefined
  #open: OpenModel | undefined
  #chat: ChatEngine | undefined
  #embedder: Embedder | undefined

  constructor({ send, clock, drafters }: EngineCoreComponents) {
    this.#clock = clock
    this.#drafters = drafters
    this.#outbox = new Outbox(send)
  }

  async handle(message: ToEngine): Promise<void> {
    switch (message.type) {
      case 'load':
        await this.#load(message.options)
        return
      case 'run':
        this.#run(message.run, message.job, message.drafter)
        return
      case 'guessed':
        this.#chat?.guessed(message.run, message.choice, message.first, message.ids)
        return
      case 'cancel':
        this.#chat?.loop.cancel(message.run)
        this.#embedder?.cancel(message.run)
        return
      case 'calibrate':
        await this.#calibrate()
        return
    }
  }

  /** Frees what the model holds; for tests, since a process that ends frees everything. */
  async dispose(): Promise<void> {
    await this.#open?.llama.dispose()
  }

  async #load(options: LoadOptions): Promise<void> {
    try {
      const open = await openModel(options, (fraction) =>
        this.#outbox.send({ type: 'load-progress', fraction }),
      )
      this.#open = open
      const contextLength =
        open.file.kind === 'chat'
          ? await this.#startChat(open, options)
          : await this.#startEmbedder(open, options)
      this.#outbox.send({
        type: 'ready',
        facts: factsOf(open, contextLength),
        hardware: await hardwareOf(open.llama),
        slots: this.#chat?.plan.slots ?? 1,
        threads: open.threads,
        memoryBytes: Math.round(open.model.size + (this.#chat?.plan.bytes ?? 0)),
        trainedContext: open.model.trainContextSize,
        gpuLayers: open.model.gpuLayers,
      })
    } catch (error) {
      const { code, message } = loadFailure(basename(options.modelPath), error)
      this.#outbox.send({ type: 'load-failed', code, message })
    }
  }

  async #startChat(open: OpenModel, options: LoadOptions): Promise<number> {
    const components = { outbox: this.#outbox, clock: this.#clock, drafters: this.#drafters }
    this.#chat = await ChatEngine.create(open, options, components)
    return this.#chat.plan.contextLength
  }

  async #startEmbedder(open: OpenModel, options: LoadOptions): Promise<number> {
    const { model } = open
    const wanted = options.contextLength ?? model.trainContextSize
    const contextLength = Math.min(wanted, EMBEDDING_CONTEXT_MAX)
    // The library wants one token more than the longest input, and all of it in one batch.
    const contextSize = contextLength + 1
    const context = await model.createEmbeddingContext({
      contextSize,
      batchSize: contextSize,
      threads: open.threads,
    })
    this.#embedder = new Embedder(
      {
        context,
        tokenize: (text, bound) => boundedTokenizer(model.tokenizer, open.tokens, bound)(text),
        outbox: this.#outbox,
        clock: this.#clock,
      },
      { contextLength, vectorLength: model.embeddingVectorSize },
    )
    return contextLength
  }

  async #calibrate(): Promise<void> {
    const result =
      this.#chat === undefined
        ? { slots: 1, threads: this.#open?.threads ?? 1, measured: [] }
        : // A model that cannot be measured can still answer.
          await this.#chat.calibrate().catch(() => undefined)
    this.#outbox.send(
      result === undefined ? { type: 'calibration-stopped' } : { type: 'calibrated', result },
    )
  }

  #run(id: number, job: Job, drafter: string | undefined): void {
    const { work } = job
    try {
      if (work.kind === 'embedding') {
        if (this.#embedder === undefined)
          throw wrongOperation(this.#open, 'a chat', 'chat/completions')
        this.#embedder.add(id, work)
      } else {
        if (this.#chat === undefined) throw wrongOperation(this.#open, 'an embedding', 'embeddings')
        this.#chat.add(id, job, work, drafter)
      }
      // Its acceptance does not wait for the decode at work.
      this.#outbox.flush()
    } catch (error) {
      if (error instanceof PeerError) {
        this.#outbox.fail(id, error.code, error.message, error.param)
      } else {
        const why = `The engine could not begin this: ${messageOf(error)}.`
        this.#outbox.fail(id, 'engine_failed', why)
      }
    }
  }
}

function wrongOperation(open: OpenModel | undefined, kind: string, endpoint: string): PeerError {
  if (open === undefined) return new PeerError('engine_failed', 'No model is loaded yet.')
  return new PeerError(
    'unsupported_model_operation',
    `This is ${kind} model; use /v1/${endpoint}.`,
    { param: 'model' },
  )
}
