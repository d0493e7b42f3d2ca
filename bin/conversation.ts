import { ghost, PeerError } from '../src/sdk/index.ts'
import type { HttpClient } from './http-client.ts'
import { CommandError } from './io.ts'

export interface ConversationOptions {
  model: string
  system?: string | undefined
  temperature?: number | undefined
  maxTokens?: number | undefined
}

/** How an answer ended. */
export interface AnswerEnd {
  /** OpenAI's finish reason, or `cancelled` when the signal stopped it. */
  finish: string
  usage?: unknown
  requestId?: string
}

/** What an answer grows by. */
export interface AnswerPiece {
  text: string
  /** All that is drafted behind it by now; it may go again. */
  ghost: string
}

export interface AskOptions {
  /** What is drafted is shown, too. */
  watched: boolean
  signal: AbortSignal
}

interface Message {
  role: 'system' | 'user' | 'assistant'
  content: string
}

/** What this reads of a chunk; everything may be missing. */
interface ChatChunk {
  request_id?: unknown
  error?: { message?: unknown } | null
  usage?: unknown
  choices?: { delta?: { content?: unknown }; finish_reason?: unknown }[]
}

const PATH = '/v1/chat/completions'

/** Questions and answers that know of each other. The peer keeps nothing of them. */
export class Conversation {
  readonly #client: HttpClient
  readonly #options: ConversationOptions
  #turns: Message[] = []

  constructor(client: HttpClient, options: ConversationOptions) {
    this.#client = client
    this.#options = options
  }

  clear(): void {
    this.#turns = []
  }

  /** The answer piece by piece. What came of it is remembered, unless it failed. */
  async *ask(
    question: string,
    { watched, signal }: AskOptions,
  ): AsyncGenerator<AnswerPiece, AnswerEnd> {
    const turns: Message[] = [...this.#turns, { role: 'user', content: question }]
    const end: AnswerEnd = { finish: 'stop' }
    let answer = ''
    try {
      const pieces = watched ? this.#watched(turns, end, signal) : this.#plain(turns, end, signal)
      for await (const piece of pieces) {
        answer += piece.text
        yield piece
      }
    } catch (error) {
      if (!signal.aborted) throw error
      end.finish = 'cancelled'
    }
    if (answer !== '') this.#turns = [...turns, { role: 'assistant', content: answer }]
    return end
  }

  async *#plain(
    turns: readonly Message[],
    end: AnswerEnd,
    signal: AbortSignal,
  ): AsyncGenerator<AnswerPiece> {
    for await (const chunk of this.#chunks(turns, signal)) {
      const [choice] = chunk.choices ?? []
      const text = choice?.delta?.content
      if (typeof chunk.request_id === 'string') end.requestId = chunk.request_id
      if (chunk.usage !== undefined && chunk.usage !== null) end.usage = chunk.usage
      if (typeof choice?.finish_reason === 'string') end.finish = choice.finish_reason
      if (typeof text === 'string' && text !== '') yield { text, ghost: '' }
    }
  }

  async *#watched(
    turns: readonly Message[],
    end: AnswerEnd,
    signal: AbortSignal,
  ): AsyncGenerator<AnswerPiece> {
    const body = { ...this.#body(turns), stream_mode: 'v8' }
    try {
      const answer = await this.#client.bytes(PATH, { body, signal })
      for await (const { event, ghost: drafted } of ghost(answer, { signal })) {
        if (event.request_id !== undefined) end.requestId = event.request_id
        if (event.event === 'token.finalize') {
          end.finish = event.finish_reason
          end.usage = event.usage
        }
        yield { text: event.event === 'token.commit' ? event.text : '', ghost: drafted }
      }
    } catch (cause) {
      throw cause instanceof PeerError ? new CommandError(cause.message, { cause }) : cause
    }
  }

  async *#chunks(turns: readonly Message[], signal: AbortSignal): AsyncGenerator<ChatChunk> {
    const body = { ...this.#body(turns), stream_options: { include_usage: true } }
    for await (const event of this.#client.events(PATH, { body, signal })) {
      if (typeof event !== 'object' || event === null) continue
      const chunk: ChatChunk = event
      if (chunk.error !== undefined && chunk.error !== null) {
        const { message } = chunk.error
        throw new CommandError(typeof message === 'string' ? message : 'The answer failed.')
      }
      yield chunk
    }
  }

  #body(turns: readonly Message[]): object {
    const { model, system, temperature, maxTokens } = this.#options
    const messages = system === undefined ? turns : [{ role: 'system', content: system }, ...turns]
    return {
      model,
      messages,
      stream: true,
      ...(temperature === undefined ? {} : { temperature }),
      ...(maxTokens === undefined ? {} : { max_completion_tokens: maxTokens }),
    }
  }
}
