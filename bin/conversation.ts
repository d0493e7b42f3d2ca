import { ghost, PeerError } from '../src/sdk/index.ts'
import { type HttpClient, isGone, LostError, RefusedError } from './http-client.ts'
import { type AnswerReceipt, keptTurns, newerHalf, type Turn } from './trim-turns.ts'

export interface ConversationOptions {
  model: string
  system?: string | undefined
  temperature?: number | undefined
  maxTokens?: number | undefined
  seed?: number | undefined
}

/** How an answer ended. */
export interface AnswerEnd {
  /** OpenAI's finish reason, or `cancelled` when the signal stopped it. */
  finish: string
  usage?: unknown
  requestId?: string
  receipt?: AnswerReceipt
  /** So many of the oldest turns the model was not given: its context has no room for them. */
  leftOut: number
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
  /** The answer takes the place of the last one. */
  again?: boolean
  signal: AbortSignal
}

interface Message {
  role: 'system' | 'user' | 'assistant'
  content: string
}

/** What this reads of a chunk; everything may be missing. */
interface ChatChunk {
  request_id?: unknown
  error?: { message?: unknown; code?: unknown } | null
  usage?: unknown
  receipt?: unknown
  choices?: { delta?: { content?: unknown }; finish_reason?: unknown }[]
}

const PATH = '/v1/chat/completions'

/** Questions and answers that know of each other. The peer keeps nothing of them. */
export class Conversation {
  readonly #peer: { readonly client: HttpClient }
  readonly #options: ConversationOptions
  #turns: readonly Turn[] = []
  #contextLength: { model: string; tokens: number } | undefined
  /** The last question, when it has no answer. */
  #unanswered: string | undefined
  model: string
  system: string | undefined

  constructor(peer: { readonly client: HttpClient }, options: ConversationOptions) {
    this.#peer = peer
    this.#options = options
    this.model = options.model
    this.system = options.system
  }

  get turns(): readonly Turn[] {
    return this.#turns
  }

  /** What to ask again, and whether that takes the place of an answer. */
  get lastQuestion(): { question: string; again: boolean } | undefined {
    if (this.#unanswered !== undefined) return { question: this.#unanswered, again: false }
    const last = this.#turns.at(-1)
    return last && { question: last.question, again: true }
  }

  /** Forgets what was said; knows instead what is given here. */
  begin(turns: readonly Turn[] = []): void {
    this.#turns = turns
    this.#unanswered = undefined
  }

  /** The answer piece by piece. What came of it is remembered, unless it failed. */
  async *ask(
    question: string,
    { watched, signal, again = false }: AskOptions,
  ): AsyncGenerator<AnswerPiece, AnswerEnd> {
    const before = again ? this.#turns.slice(0, -1) : this.#turns
    const end: AnswerEnd = { finish: 'stop', leftOut: 0 }
    const { model } = this
    let answer = ''
    let messages: Message[] = []
    const remember = (isCut: boolean) => {
      if (answer === '') return
      const { requestId, receipt } = end
      const tokensPerByte = rateOf(end.usage, messages, answer)
      const turn = { question, answer, model, isCut, requestId, receipt, tokensPerByte }
      this.#turns = [...before, turn]
      this.#unanswered = undefined
    }
    this.#unanswered = question
    try {
      for await (const piece of this.#fitting(before, question, end, { watched, signal })) {
        messages = piece.messages
        answer += piece.text
        yield piece
      }
      remember(false)
    } catch (error) {
      if (signal.aborted) end.finish = 'cancelled'
      if (signal.aborted || isGone(error)) remember(true)
      if (!signal.aborted) throw error
    }
    return end
  }

  /** With as much of what was said before as the model has room for. */
  async *#fitting(
    before: readonly Turn[],
    question: string,
    end: AnswerEnd,
    { watched, signal }: AskOptions,
  ): AsyncGenerator<AnswerPiece & { messages: Message[] }> {
    const { maxTokens } = this.#options
    // One question alone is the model's to refuse.
    const contextLength = before.length === 0 ? undefined : await this.#contextOf(signal)
    const said = { system: this.system, question }
    let kept = keptTurns(before, said, { contextLength, maxTokens })
    for (;;) {
      end.leftOut = before.length - kept.length
      const messages = messagesOf(kept, said)
      try {
        const pieces = (watched ? this.#watched : this.#plain).call(this, messages, end, signal)
        for await (const piece of pieces) yield { ...piece, messages }
        return
      } catch (error) {
        // Nothing of the answer has come by then.
        const isTooLong = error instanceof RefusedError && error.code === 'context_length_exceeded'
        if (!isTooLong || kept.length === 0) throw error
        kept = newerHalf(kept)
      }
    }
  }

  /** Undefined where the peer does not know it yet: then the model refuses what is too long. */
  async #contextOf(signal: AbortSignal): Promise<number | undefined> {
    const { model } = this
    if (this.#contextLength?.model === model) return this.#contextLength.tokens
    try {
      const path = `/v1/models/${encodeURIComponent(model)}`
      const facts = await this.#peer.client.json('GET', path, { signal })
      const tokens = (facts as { context_length?: unknown } | null)?.context_length
      if (typeof tokens !== 'number') return undefined
      this.#contextLength = { model, tokens }
      return tokens
    } catch (error) {
      if (error instanceof RefusedError) return undefined
      throw error
    }
  }

  async *#plain(
    messages: readonly Message[],
    end: AnswerEnd,
    signal: AbortSignal,
  ): AsyncGenerator<AnswerPiece> {
    for await (const chunk of this.#chunks(messages, signal)) {
      const [choice] = chunk.choices ?? []
      const text = choice?.delta?.content
      if (typeof chunk.request_id === 'string') end.requestId = chunk.request_id
      if (chunk.usage !== undefined && chunk.usage !== null) end.usage = chunk.usage
      if (isReceipt(chunk.receipt)) end.receipt = chunk.receipt
      if (typeof choice?.finish_reason === 'string') end.finish = choice.finish_reason
      if (typeof text === 'string' && text !== '') yield { text, ghost: '' }
    }
  }

  async *#watched(
    messages: readonly Message[],
    end: AnswerEnd,
    signal: AbortSignal,
  ): AsyncGenerator<AnswerPiece> {
    const body = { ...this.#body(messages), stream_mode: 'v8' }
    try {
      const answer = await this.#peer.client.bytes(PATH, { body, signal })
      for await (const { event, ghost: drafted } of ghost(answer, { signal })) {
        if (event.request_id !== undefined) end.requestId = event.request_id
        if (event.event === 'token.finalize') {
          end.finish = event.finish_reason
          end.usage = event.usage
          if (event.receipt !== null) end.receipt = event.receipt
        }
        yield { text: event.event === 'token.commit' ? event.text : '', ghost: drafted }
      }
    } catch (cause) {
      if (!(cause instanceof PeerError)) throw cause
      if (cause.code === 'cut_off') throw new LostError(cause.message, { cause })
      throw new RefusedError(IN_STREAM, cause.message, cause.code)
    }
  }

  async *#chunks(messages: readonly Message[], signal: AbortSignal): AsyncGenerator<ChatChunk> {
    const body = { ...this.#body(messages), stream_options: { include_usage: true } }
    for await (const event of this.#peer.client.events(PATH, { body, signal })) {
      if (typeof event !== 'object' || event === null) continue
      const chunk: ChatChunk = event
      if (chunk.error !== undefined && chunk.error !== null) {
        const { message, code } = chunk.error
        const text = typeof message === 'string' ? message : 'The answer failed.'
        throw new RefusedError(IN_STREAM, text, typeof code === 'string' ? code : undefined)
      }
      yield chunk
    }
  }

  #body(messages: readonly Message[]): object {
    const { temperature, maxTokens, seed } = this.#options
    return {
      model: this.model,
      messages,
      stream: true,
      ...(temperature === undefined ? {} : { temperature }),
      ...(maxTokens === undefined ? {} : { max_completion_tokens: maxTokens }),
      ...(seed === undefined ? {} : { seed }),
    }
  }
}

/** The status of an answer that says later that it failed. */
const IN_STREAM = 200

function messagesOf(
  turns: readonly Turn[],
  { system, question }: { system: string | undefined; question: string },
): Message[] {
  const before: Message[] = system === undefined ? [] : [{ role: 'system', content: system }]
  const said = turns.flatMap((turn): Message[] => [
    { role: 'user', content: turn.question },
    { role: 'assistant', content: turn.answer },
  ])
  return [...before, ...said, { role: 'user', content: question }]
}

/** Tokens for each byte, where they were counted. */
function rateOf(usage: unknown, messages: readonly Message[], answer: string): number | undefined {
  const { total_tokens: tokens } = (usage ?? {}) as { total_tokens?: unknown }
  const texts = [...messages.map(({ content }) => content), answer]
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
  return typeof tokens === 'number' && bytes > 0 ? Math.min(1, tokens / bytes) : undefined
}

function isReceipt(value: unknown): value is AnswerReceipt {
  const { cid, prompt_nonce: nonce } = (value ?? {}) as Partial<AnswerReceipt>
  return typeof cid === 'string' && (nonce === undefined || typeof nonce === 'string')
}
