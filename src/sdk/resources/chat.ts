import { type AnswerStream, type Reading, streamOf } from '../client/answer-stream.ts'
import type { Call } from '../client/call.ts'
import { answerEvents } from '../client/events.ts'
import type { CallOptions, Operation } from '../client/operation.ts'
import type { Transport } from '../client/transport.ts'
import { type GhostView, ghost } from '../ghost.ts'
import type { ChatCompletion, ChatCompletionChunk, ChatCompletionRequest } from '../types/chat.ts'
import type { ChatStarted, ChatTurn, ChatTurnRequest, ReplyMessage } from '../types/conversation.ts'

export type Whole = { stream?: false | null }
export type Streamed = { stream: true; stream_mode?: null }
export type Watched = { stream: true; stream_mode: 'v8' }

/** What a turn of a conversation tells while it is answered. */
export type ChatEvent =
  | ({ event: 'chat.started' } & ChatStarted)
  | { event: 'message.delta'; delta: string }
  | { event: 'message.completed'; message: ReplyMessage }
  | ({ event: 'chat.completed' } & ChatTurn)

const turns = '/api/v1/chat/completions'

/** Conversations: as OpenAI's clients send them whole, and those that the peer keeps. */
export class Chat {
  readonly completions: ChatCompletions
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
    this.completions = new ChatCompletions(transport)
  }

  /** One message of a conversation that the peer keeps: of that with the `session_id`, or a new one. */
  send(body: ChatTurnRequest & Whole, options?: CallOptions): Call<ChatTurn>
  send(body: ChatTurnRequest & Streamed, options?: CallOptions): Call<AnswerStream<ChatEvent>>
  send(body: ChatTurnRequest, options?: CallOptions): Call<ChatTurn | AnswerStream<ChatEvent>>
  send(body: ChatTurnRequest, options: CallOptions = {}): Call<ChatTurn | AnswerStream<ChatEvent>> {
    const asked: Operation = { method: 'POST', path: turns, body }
    if (body.stream !== true) return this.#transport.json(asked, options)
    return this.#transport.open(asked, options, streamOf<ChatEvent>(answerEvents))
  }

  /** The same, always as events. */
  stream(
    body: Omit<ChatTurnRequest, 'stream'>,
    options: CallOptions = {},
  ): Call<AnswerStream<ChatEvent>> {
    const asked: Operation = { method: 'POST', path: `${turns}/stream`, body }
    return this.#transport.open(asked, options, streamOf<ChatEvent>(answerEvents))
  }
}

export class ChatCompletions {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /**
   * Answers a conversation: as a whole, with `stream: true` as chunks, and with `stream_mode: 'v8'`
   * too with the drafts that the peer has not confirmed yet.
   */
  create(body: ChatCompletionRequest & Whole, options?: CallOptions): Call<ChatCompletion>
  create(
    body: ChatCompletionRequest & Streamed,
    options?: CallOptions,
  ): Call<AnswerStream<ChatCompletionChunk>>
  create(
    body: ChatCompletionRequest & Watched,
    options?: CallOptions,
  ): Call<AnswerStream<GhostView>>
  create(
    body: ChatCompletionRequest,
    options?: CallOptions,
  ): Call<ChatCompletion | AnswerStream<ChatCompletionChunk> | AnswerStream<GhostView>>
  create(
    body: ChatCompletionRequest,
    options: CallOptions = {},
  ): Call<ChatCompletion | AnswerStream<ChatCompletionChunk> | AnswerStream<GhostView>> {
    const asked: Operation = { method: 'POST', path: '/v1/chat/completions', body }
    if (body.stream !== true) return this.#transport.json(asked, options)
    if (body.stream_mode === 'v8') return this.#transport.open(asked, options, streamOf(views))
    return this.#transport.open(asked, options, streamOf<ChatCompletionChunk>(answerEvents))
  }
}

/** An answer with its drafts. */
export const views: Reading<GhostView> = ({ body, exchange: { signal, setting } }) =>
  ghost(body, { signal, quietMs: setting.quietMs })
