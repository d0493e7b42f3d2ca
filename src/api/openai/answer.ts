import type { FastifyReply } from 'fastify'
import { messageOf, PeerError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type {
  AnswerReceipt,
  CallPlace,
  Chunk,
  Done,
  Finish,
  Node,
  Resumed,
  Routed,
  TokenLogprob,
  Tokens,
  Usage,
} from '../../wire/chunk.ts'
import type { FunctionCall } from '../../wire/functions.ts'
import { answerTo, type ErrorAnswer, openAiError } from '../error-answer.ts'
import type { SseWriter } from '../sse.ts'
import {
  type AnswerReceiptJson,
  bodyHeaders,
  endHeaders,
  endTrailers,
  nodeJson,
  receiptOfAnswer,
  workHeaders,
} from '../work-headers.ts'

/** How one endpoint writes the parts of a streamed answer down. */
export interface StreamDialect {
  tokens(chunk: Tokens): object[]
  /** What ends choice `index`. */
  finish(index: number, reason: Reason): object[]
  /** The chunk without choices; undefined when the client did not ask for it. */
  usage(usage: Usage): object | undefined
}

export type TextReason = 'stop' | 'length'
export type Reason = TextReason | 'tool_calls'

export interface StreamParts {
  writer: SseWriter
  logger: Logger
  requestId: string
  /** Before the first event. */
  onRouted(chunk: Routed): void
}

/** The answer as events. An error before the first event is thrown; after it, it is the last event. */
export async function streamAnswer(
  chunks: AsyncIterable<Chunk>,
  parts: StreamParts,
  dialect: StreamDialect,
): Promise<void> {
  const { writer, requestId, onRouted } = parts
  let node: Node | undefined
  const send = (events: object[]) => {
    for (const event of events) {
      writer.send(node === undefined ? event : { ...event, node: nodeJson(node) })
      node = undefined
    }
  }
  try {
    for await (const chunk of chunks) {
      if (chunk.type === 'tokens') send(dialect.tokens(chunk))
      if (chunk.type === 'routed') {
        onRouted(chunk)
        node = chunk.node
      }
      if (chunk.type === 'done') {
        send(finishEvents(chunk, dialect))
        const usage = dialect.usage(chunk.usage)
        if (usage !== undefined) writer.send(usage)
        writer.done(endTrailers(chunk))
      }
      if (writer.full) await writer.drained()
    }
  } catch (error) {
    writer.send(openAiError(cutAnswer(error, parts), requestId))
    writer.close()
  }
}

/** What is told of an error that ends a stream; throws it where a status can tell it still. */
export function cutAnswer(error: unknown, { writer, logger, requestId }: StreamParts): ErrorAnswer {
  if (!writer.opened) throw error
  const answer = answerTo(error)
  const level = answer.expected ? 'info' : 'error'
  logger[level]('a stream was cut', { requestId, code: answer.code, cause: messageOf(error) })
  return answer
}

/** With the receipt in the last: clients that hide trailers show this one. */
function finishEvents({ finish, receipt, resumed }: Done, dialect: StreamDialect): object[] {
  const events = finish.flatMap((each, index) => dialect.finish(index, toReason(each)))
  if (receipt === undefined) return events
  const last = { ...events.at(-1), receipt: receiptOfAnswer(receipt, resumed) }
  return [...events.slice(0, -1), last]
}

/** One choice of an answer that is sent as a whole. */
export interface Choice {
  text: string
  calls: FunctionCall[]
  logprobs: TokenLogprob[]
  reason: Reason
}

export interface Answer {
  choices: Choice[]
  usage: Usage
  routed: Routed | undefined
  receipt: AnswerReceipt | undefined
  resumed: Resumed | undefined
}

export async function collectAnswer(chunks: AsyncIterable<Chunk>): Promise<Answer> {
  const texts: string[][] = []
  const calls: FunctionCall[][] = []
  const logprobs: TokenLogprob[][] = []
  let done: Done | undefined
  let routed: Routed | undefined
  for await (const chunk of chunks) {
    if (chunk.type === 'done') done = chunk
    if (chunk.type === 'routed') routed = chunk
    if (chunk.type !== 'tokens') continue
    if (chunk.call === undefined) {
      texts[chunk.choice] ??= []
      texts[chunk.choice]?.push(chunk.text)
    } else {
      calls[chunk.choice] ??= []
      addTo(calls[chunk.choice] as FunctionCall[], chunk.call, chunk.text)
    }
    logprobs[chunk.choice] ??= []
    logprobs[chunk.choice]?.push(...(chunk.logprobs ?? []))
  }
  if (done === undefined) throw cutShort()
  const choices = done.finish.map((finish, index) => ({
    text: (texts[index] ?? []).join(''),
    calls: calls[index] ?? [],
    logprobs: logprobs[index] ?? [],
    reason: toReason(finish),
  }))
  return { choices, usage: done.usage, routed, receipt: done.receipt, resumed: done.resumed }
}

function addTo(calls: FunctionCall[], { index, id, name }: CallPlace, text: string): void {
  const call = calls[index] ?? { id, name, arguments: '' }
  calls[index] = { ...call, arguments: call.arguments + text }
}

/** Of an answer that has no place for calls, and was asked for none. */
export function toTextReason(reason: Reason): TextReason {
  if (reason === 'tool_calls') throw cutShort()
  return reason
}

export function toReason(finish: Finish): Reason {
  if (finish === 'cancelled') throw cutShort()
  return finish
}

const cutShort = () => new PeerError('engine_failed', 'The answer ended too early. Ask again.')

/** Puts who did the work into the head of a whole answer, and returns it for its body. */
export function attribute(
  reply: FastifyReply,
  { routed, usage, receipt, resumed }: Omit<Answer, 'choices'>,
): { headers?: Record<string, string>; receipt?: AnswerReceiptJson } {
  if (routed === undefined) return {}
  const counted = { ...routed, inputTokens: usage.inputTokens }
  reply.headers(workHeaders(counted)).headers(endHeaders({ usage, receipt, resumed }))
  return {
    headers: bodyHeaders(routed, usage, receipt),
    ...(receipt && { receipt: receiptOfAnswer(receipt, resumed) }),
  }
}

export function toUsage(usage: Usage) {
  return {
    prompt_tokens: usage.inputTokens,
    completion_tokens: usage.outputTokens,
    total_tokens: usage.inputTokens + usage.outputTokens,
    prompt_tokens_details: { cached_tokens: usage.cachedTokens },
    completion_tokens_details: { reasoning_tokens: 0 },
  }
}
