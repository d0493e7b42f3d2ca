import type { ServerResponse } from 'node:http'
import type { FastifyReply } from 'fastify'
import type { Clock } from '../base/clock.ts'
import { DeadlineError } from '../base/errors.ts'
import { closeSignal } from './client-signal.ts'
import { kept, streamHeaders } from './idempotency.ts'
import { setLimitHeaders } from './rate-limits.ts'

export interface SseOptions {
  /** How often a comment tells proxies and clients that the stream lives. */
  pingMs: number
  /** A client that reads nothing for so long is taken for gone. */
  stallMs: number
}

export const defaultSse: SseOptions = { pingMs: 10_000, stallMs: 30_000 }

/** UTF-16 units. A producer that never lets the event loop turn is written out at this point. */
const PENDING_MAX = 32 * 1024

/**
 * An event stream as the answer to one request. The head goes out with the first event, so until
 * then the handler may still answer with a status and a body. Works over HTTP/1.1 and HTTP/2.
 *
 * Whoever writes asks `full` after each `send`, and waits for `drained()` before more is made: what
 * is held here is then little beyond what the socket's own buffer takes.
 */
export class SseWriter {
  readonly #clock: Clock
  readonly #reply: FastifyReply
  readonly #raw: ServerResponse
  readonly #clientGone: AbortSignal
  readonly #options: SseOptions
  readonly #trailers: string | undefined
  #pending = ''
  #scheduled = false
  #full = false
  #opened = false
  #cut = false
  #cancelPing = () => {}

  /** `trailers` names what `done` will bring: it has to be announced in the head. */
  constructor(
    components: { clock: Clock; reply: FastifyReply },
    options: SseOptions,
    trailers?: string,
  ) {
    this.#clock = components.clock
    this.#reply = components.reply
    this.#raw = components.reply.raw
    this.#clientGone = closeSignal(components.reply)
    this.#options = options
    // Only chunks can be followed by more, and HTTP/1.0 has none.
    const { httpVersion } = components.reply.request.raw
    this.#trailers = httpVersion === '1.0' ? undefined : trailers
  }

  /** The head is out, or kept for whoever asks again: a status can no longer be chosen. */
  get opened(): boolean {
    return this.#opened || this.#recording?.opened === true
  }

  /** More is on its way than the client takes. */
  get full(): boolean {
    return this.#full || this.#pending.length > PENDING_MAX
  }

  /** Sends the head although there is no event yet. */
  open(): void {
    this.#event(': open\n\n')
  }

  /** JSON has no raw line breaks, so no text of a model or a client can begin a line of its own. */
  send(value: unknown): void {
    this.#event(`data: ${JSON.stringify(value)}\n\n`)
  }

  /** An event that has more fields than its data, as its bytes are. */
  frame(text: string): void {
    this.#event(text)
  }

  /** Resolves when the client has read on, or is gone; one that reads nothing is cut off. */
  drained(): Promise<void> {
    this.#flush()
    if (!this.#full || this.#ended()) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const settle = (then: () => void) => () => {
        cancelStall()
        this.#raw.off('drain', onGo)
        this.#raw.off('close', onGo)
        then()
      }
      const onGo = settle(() => {
        this.#full = false
        resolve()
      })
      const onStall = settle(() => {
        this.#cut = true
        this.#raw.destroy()
        // Whoever asks again is told the rest.
        if (this.#recording !== undefined) resolve()
        else reject(new DeadlineError('Reading the answer', this.#options.stallMs))
      })
      const cancelStall = this.#clock.after(this.#options.stallMs, onStall)
      this.#raw.once('drain', onGo)
      this.#raw.once('close', onGo)
    })
  }

  /** The mark by which OpenAI's clients know that nothing is missing, and the end. */
  done(trailers: Record<string, string> = {}): void {
    this.#event('data: [DONE]\n\n')
    this.#recording?.trail(trailers)
    if (this.#trailers !== undefined && this.#opened && !this.#ended()) {
      this.#raw.addTrailers(trailers)
    }
    this.close()
  }

  /** Ends the stream as it is; without `done()` before, a client knows that it was cut. */
  close(): void {
    this.#cancelPing()
    this.#cancelPing = () => {}
    if (!this.#opened || this.#ended()) return
    this.#raw.end(this.#pending)
    this.#pending = ''
  }

  get #recording() {
    return this.#reply.request.recording
  }

  #event(text: string): void {
    const recording = this.#recording
    if (recording !== undefined) {
      if (!recording.opened) recording.open(kept(this.#reply.getHeaders()))
      recording.add(text)
    }
    this.#write(text)
  }

  #write(frames: string): void {
    if (this.#ended()) return
    if (!this.#opened) this.#open()
    this.#pending += frames
    if (this.#scheduled) return
    // Chunks of one engine tick come one microtask apart: all of them in one packet.
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#pending === '' || this.#ended()) return
    this.#full = !this.#raw.write(this.#pending)
    this.#pending = ''
  }

  #ended(): boolean {
    return this.#cut || this.#clientGone.aborted || this.#raw.writableEnded
  }

  #open(): void {
    this.#opened = true
    setLimitHeaders(this.#reply.request, this.#reply)
    this.#reply.hijack()
    this.#raw.writeHead(200, {
      ...(this.#reply.getHeaders() as Record<string, string>),
      ...streamHeaders,
      ...(this.#trailers === undefined ? {} : { trailer: this.#trailers }),
    })
    this.#raw.once('close', () => this.#cancelPing())
    this.#ping()
  }

  #ping(): void {
    this.#cancelPing = this.#clock.after(this.#options.pingMs, () => {
      if (!this.#full) this.#write(': ping\n\n')
      this.#ping()
    })
  }
}
