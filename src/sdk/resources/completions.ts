import { type AnswerStream, streamOf } from '../client/answer-stream.ts'
import type { Call } from '../client/call.ts'
import { answerEvents } from '../client/events.ts'
import type { CallOptions, Operation } from '../client/operation.ts'
import type { Transport } from '../client/transport.ts'
import type { GhostView } from '../ghost.ts'
import type { Completion, CompletionRequest } from '../types/completions.ts'
import { type Streamed, views, type Watched, type Whole } from './chat.ts'

/** Texts that a model goes on with. */
export class Completions {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /** A chunk of a stream is as the whole, with a part of the text. */
  create(body: CompletionRequest & Whole, options?: CallOptions): Call<Completion>
  create(body: CompletionRequest & Streamed, options?: CallOptions): Call<AnswerStream<Completion>>
  create(body: CompletionRequest & Watched, options?: CallOptions): Call<AnswerStream<GhostView>>
  create(
    body: CompletionRequest,
    options?: CallOptions,
  ): Call<Completion | AnswerStream<Completion> | AnswerStream<GhostView>>
  create(
    body: CompletionRequest,
    options: CallOptions = {},
  ): Call<Completion | AnswerStream<Completion> | AnswerStream<GhostView>> {
    const asked: Operation = { method: 'POST', path: '/v1/completions', body }
    if (body.stream !== true) return this.#transport.json(asked, options)
    if (body.stream_mode === 'v8') return this.#transport.open(asked, options, streamOf(views))
    return this.#transport.open(asked, options, streamOf<Completion>(answerEvents))
  }
}
