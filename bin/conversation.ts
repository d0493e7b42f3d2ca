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
  async *ask(question: string, signal: AbortSignal): AsyncGenerator<string, AnswerEnd> {
    const turns: Message[] = [...this.#turns, { role: 'user', content: question }]
    const end: AnswerEnd = { finish: 'stop' }
    let answer = ''
    try {
      for await (const chunk of this.#chunks(turns, signal)) {
        const [choice] = chunk.choices ?? []
        const piece = choice?.delta?.content
        if (typeof chunk.request_id === 'string') end.requestId = chunk.request_id
        if (chunk.usage !== undefined && chunk.usage !== null) end.usage = chunk.usage
        if (typeof choice?.finish_reason === 'string') end.finish = choice.finish_reason
        if (typeof piece !== 'string' || piece === '') continue
        answer += piece
        yield piece
      }
    } catch (error) {
      if (!signal.aborted) throw error
      end.finish = 'cancelled'
    }
    if (answer !== '') this.#turns = [...turns, { role: 'assistant', content: answer }]
    return end
  }

  async *#chunks(turns: readonly Message[], signal: AbortSignal): AsyncGenerator<ChatChunk> {
    const { model, system, temperature, maxTokens } = this.#options
    const messages = system === undefined ? turns : [{ role: 'system', content: system }, ...turns]
    const body = {
      model,
      messages,
      stream: true,
      stream_options: { include_usage: true },
      ...(temperature === undefined ? {} : { temperature }),
      ...(maxTokens === undefined ? {} : { max_completion_tokens: maxTokens }),
    }
    for await (const event of this.#client.events('/v1/chat/completions', { body, signal })) {
      if (typeof event !== 'object' || event === null) continue
      const chunk: ChatChunk = event
      if (chunk.error !== undefined && chunk.error !== null) {
        const { message } = chunk.error
        throw new CommandError(typeof message === 'string' ? message : 'The answer failed.')
      }
      yield chunk
    }
  }
}
