import { request as httpRequest, type IncomingMessage } from 'node:http'
import { messageOf } from '../../src/index.ts'
import type { ReadyLine } from '../peer-process.ts'

/** What a client saw of one streamed answer. */
export interface Answer {
  status: number
  requestId: string
  /** Peer ids of those who made it, in turn. */
  nodes: string[]
  /** So often another went on. */
  resumed: number
  text: string
  /** Of each token that came with its probability, the bytes; empty where nobody asked for that. */
  scored: readonly number[][]
  /** Undefined of one that was cut off. */
  finish: string | undefined
  /** CID of the receipt that came with it. */
  receipt: string | undefined
  inputTokens: number
  outputTokens: number
  /** From the request to the first text. */
  firstMs: number
  totalMs: number
  /** The longest pause between two pieces of text, and how much text had come before it. */
  stall: { ms: number; behind: number }
  /** How long the last that went on took to its first token, from when it was asked. */
  takeoverMs: number
  /** What went wrong, as the client was told or saw it. */
  error: string | undefined
}

/** Told of every piece of text, by the one that reads it. */
export type OnText = (answer: Readonly<Answer>) => void

/** Asks as a client does that shows the answer while it is written. It never fails. */
export async function askStream(
  { http, apiKey }: Pick<ReadyLine, 'http' | 'apiKey'>,
  body: object,
  { signal, onText }: { signal: AbortSignal; onText?: OnText },
): Promise<Answer> {
  const began = performance.now()
  const reader = new AnswerReader(began, onText)
  try {
    const text = JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } })
    const response = await post(new URL('/v1/chat/completions', http), { apiKey, text, signal })
    reader.head(response)
    for await (const piece of response.setEncoding('utf8')) reader.piece(piece)
    reader.end(response)
  } catch (error) {
    reader.answer.error ??= messageOf(error)
  }
  reader.answer.totalMs = performance.now() - began
  return reader.answer
}

/** Of `fetch` the trailers are not to be had. */
function post(
  url: URL,
  { apiKey, text, signal }: { apiKey: string; text: string; signal: AbortSignal },
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' }
    const sent = httpRequest(url, { method: 'POST', headers, signal, agent: false }, resolve)
    sent.once('error', reject)
    sent.end(text)
  })
}

/** The parts of a chunk that are looked at; it comes from a program of ours. */
interface ChunkJson {
  node?: { id: string }
  choices?: {
    delta?: { content?: string }
    logprobs?: { content?: { bytes: number[] }[] } | null
    finish_reason?: string | null
  }[]
  usage?: { prompt_tokens: number; completion_tokens: number } | null
  receipt?: { cid: string; resumed?: number; nodes?: string[] }
  error?: { code: string; message: string }
}

class AnswerReader {
  readonly #scored: number[][] = []
  readonly answer: Answer = {
    ...{ status: 0, requestId: '', nodes: [], resumed: 0, text: '', finish: undefined },
    scored: this.#scored,
    ...{ receipt: undefined, inputTokens: 0, outputTokens: 0, firstMs: 0, totalMs: 0 },
    ...{ stall: { ms: 0, behind: 0 }, takeoverMs: 0, error: undefined },
  }
  readonly #began: number
  readonly #onText: OnText | undefined
  /** What has come of a line. */
  #begun = ''
  #heardAt: number | undefined
  #isDone = false

  constructor(began: number, onText: OnText | undefined) {
    this.#began = began
    this.#onText = onText
  }

  head({ statusCode = 0, headers }: IncomingMessage): void {
    this.answer.status = statusCode
    this.answer.requestId = String(headers['x-request-id'] ?? '')
  }

  piece(piece: string): void {
    const lines = (this.#begun + piece).split('\n')
    this.#begun = lines.pop() ?? ''
    for (const line of lines) this.#line(line)
  }

  #line(line: string): void {
    if (line === 'data: [DONE]') this.#isDone = true
    else if (line.startsWith('data: ')) this.#chunk(JSON.parse(line.slice(6)) as ChunkJson)
  }

  end({ trailers }: IncomingMessage): void {
    const { answer } = this
    // An answer that is no stream is an error.
    if (answer.status !== 200) this.#chunk(JSON.parse(this.#begun) as ChunkJson)
    if (!this.#isDone) answer.error ??= 'the stream ended too early'
    const { attempts = [] } = routeOf(trailers['x-pinaivu-route'])
    answer.takeoverMs = attempts.findLast(({ outcome }) => outcome === 'resumed')?.ms ?? 0
  }

  #chunk({ node, choices, usage, receipt, error }: ChunkJson): void {
    const { answer } = this
    if (node !== undefined) answer.nodes = [node.id]
    const [choice] = choices ?? []
    answer.finish = choice?.finish_reason ?? answer.finish
    if (usage != null) {
      answer.inputTokens = usage.prompt_tokens
      answer.outputTokens = usage.completion_tokens
    }
    if (receipt !== undefined) {
      answer.receipt = receipt.cid
      answer.resumed = receipt.resumed ?? 0
      answer.nodes = receipt.nodes ?? answer.nodes
    }
    if (error !== undefined) answer.error = `${error.code}: ${error.message}`
    const tokens = choice?.logprobs?.content ?? []
    if (tokens.length > 0) this.#scored.push(...tokens.map(({ bytes }) => bytes))
    const content = choice?.delta?.content ?? ''
    if (content !== '') this.#text(content)
  }

  #text(content: string): void {
    const { answer } = this
    const now = performance.now()
    const ms = now - (this.#heardAt ?? now)
    if (this.#heardAt === undefined) answer.firstMs = now - this.#began
    if (ms > answer.stall.ms) answer.stall = { ms, behind: answer.text.length }
    this.#heardAt = now
    answer.text += content
    this.#onText?.(answer)
  }
}

function routeOf(text = '{}'): { attempts?: { outcome: string; ms: number }[] } {
  return JSON.parse(text) as ReturnType<typeof routeOf>
}
