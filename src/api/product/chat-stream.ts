import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Reply } from '../../accounts/sessions/session-store.ts'
import type { Clock } from '../../base/clock.ts'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Chunk, Done, Routed, Tokens } from '../../wire/chunk.ts'
import { clientGone } from '../client-signal.ts'
import { productError } from '../error-answer.ts'
import { cutAnswer, toReason } from '../openai/answer.ts'
import { type SseOptions, SseWriter } from '../sse.ts'
import {
  endTrailers,
  nodeJson,
  receiptOfAnswer,
  trailerNames,
  workHeaders,
} from '../work-headers.ts'
import type { TurnJson, TurnRequest } from './chat-schema.ts'

/** What is known of a turn whose answer comes. */
export interface RunningTurn {
  request: FastifyRequest<{ Body: TurnRequest }>
  completionId: string
  sessionId: string
  /** Writes it down, and says it as the client is told. */
  save(reply: Omit<Reply, 'promptBytes'>): Promise<TurnJson>
}

interface StreamComponents {
  clock: Clock
  logger: Logger
  reply: FastifyReply
}

/**
 * The answer as events. A client that leaves in the middle has seen what came until then: that is
 * kept, marked as cancelled. After an error nothing is kept: the client is told to ask again.
 */
export async function streamTurn(
  chunks: AsyncIterable<Chunk>,
  turn: RunningTurn,
  components: StreamComponents,
  options: SseOptions,
): Promise<void> {
  const { reply, logger } = components
  const requestId = turn.request.id
  const writer = new SseWriter(components, options, trailerNames)
  const events = new TurnEvents(turn, writer)
  const onRouted = (chunk: Routed) => reply.headers(workHeaders(chunk))
  try {
    for await (const chunk of chunks) {
      if (chunk.type === 'routed') {
        onRouted(chunk)
        events.started(chunk)
      }
      if (chunk.type === 'tokens') events.said(chunk)
      if (chunk.type === 'done') await events.ended(chunk)
      if (writer.full) await writer.drained()
    }
  } catch (error) {
    if (clientGone(reply.raw)) {
      await events.broken().catch((cause: unknown) => {
        logger.warn('a turn was not kept', { requestId, error: messageOf(cause) })
      })
    }
    const answer = cutAnswer(error, { writer, logger, requestId, onRouted })
    writer.frame(frameOf('error', productError(answer, requestId)))
    writer.close()
  }
}

class TurnEvents {
  readonly #turn: RunningTurn
  readonly #writer: SseWriter
  readonly #texts: string[] = []
  #inputTokens = 0
  #outputTokens = 0
  #isSaved = false

  constructor(turn: RunningTurn, writer: SseWriter) {
    this.#turn = turn
    this.#writer = writer
  }

  started({ node, inputTokens }: Routed): void {
    const { completionId, sessionId, request } = this.#turn
    this.#inputTokens = inputTokens
    this.#send('chat.started', {
      id: completionId,
      session_id: sessionId,
      model: request.body.model,
      node: nodeJson(node),
    })
  }

  said({ text, ids }: Tokens): void {
    this.#outputTokens += ids.length
    if (text === '') return
    this.#texts.push(text)
    this.#send('message.delta', { delta: text })
  }

  async ended(done: Done): Promise<void> {
    for (const finish of done.finish) toReason(finish)
    const { inputTokens, outputTokens } = done.usage
    const said = { content: this.#texts.join(''), inputTokens, outputTokens }
    this.#isSaved = true
    const completion = await this.#turn.save({ ...said, status: 'completed' })
    const { receipt, resumed } = done
    this.#send('message.completed', { message: completion.message })
    this.#send('chat.completed', {
      ...completion,
      ...(receipt && { receipt: receiptOfAnswer(receipt, resumed) }),
    })
    this.#writer.done(endTrailers(done))
  }

  /** The client is gone: what it has seen is kept. */
  async broken(): Promise<void> {
    if (this.#isSaved || this.#texts.length === 0) return
    const tokens = { inputTokens: this.#inputTokens, outputTokens: this.#outputTokens }
    await this.#turn.save({ content: this.#texts.join(''), status: 'cancelled', ...tokens })
  }

  #send(event: string, data: object): void {
    this.#writer.frame(frameOf(event, data))
  }
}

/** JSON has no raw line breaks, so no text can begin a line of its own. */
const frameOf = (event: string, data: object): string =>
  `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`
