import { connect, type Socket } from 'node:net'
import { microseconds, TIME_DIGITS } from './now.ts'

const AT = 64
const ZERO = 48
const firstContent = '"delta":{"content":"'
const end = '[DONE]'

export interface Endpoint {
  http: string
  key: string
}

/**
 * Streamed answers over one kept connection, read as bytes: whoever measures must cost less than
 * what it measures. Counts on how this very server writes its events.
 */
export class Connection {
  readonly #socket: Socket
  readonly #head: string
  readonly #onToken: (ageMicroseconds: number) => void
  #digits = TIME_DIGITS
  #madeAt = 0
  /** The last bytes: an answer ends with an empty line. */
  #tail = ''
  #answer: { firstAt: number; ended: boolean; resolve(): void } | undefined
  #reject: (error: Error) => void = () => {}

  /** @param onToken told of each token that says when it was made */
  constructor({ http, key }: Endpoint, onToken: (ageMicroseconds: number) => void = () => {}) {
    const { hostname, port, host } = new URL(http)
    this.#onToken = onToken
    this.#head =
      `POST /v1/chat/completions HTTP/1.1\r\nhost: ${host}\r\nauthorization: Bearer ${key}\r\n` +
      'content-type: application/json\r\n'
    this.#socket = connect({ host: hostname, port: Number(port), noDelay: true })
    this.#socket.on('data', (bytes: Buffer) => this.#read(bytes))
    this.#socket.on('error', (error) => this.#reject(error))
    this.#socket.on('close', () => this.#reject(new Error('the server hung up')))
  }

  /** Milliseconds to the first text; resolves at the end of the answer. */
  async ask(body: string): Promise<number> {
    const answer = { firstAt: 0, ended: false, resolve: () => {} }
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    answer.resolve = resolve
    this.#answer = answer
    this.#reject = reject
    const beganAt = performance.now()
    this.#socket.write(`${this.#head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
    await promise
    return answer.firstAt - beganAt
  }

  close(): void {
    this.#socket.destroy()
  }

  #read(bytes: Buffer): void {
    const answer = this.#answer
    if (answer === undefined) return
    if (answer.firstAt === 0) {
      const text = bytes.toString('latin1')
      if (text.startsWith('HTTP/1.1 ') && !text.startsWith('HTTP/1.1 200')) {
        this.#reject(new Error(text))
        return
      }
      if (text.includes(firstContent)) answer.firstAt = performance.now()
    }
    this.#countTokens(bytes)
    answer.ended ||= bytes.includes(end)
    this.#tail = (this.#tail + bytes.subarray(-4).toString('latin1')).slice(-4)
    if (!answer.ended || this.#tail !== '\r\n\r\n') return
    this.#answer = undefined
    answer.resolve()
  }

  #countTokens(bytes: Buffer): void {
    const arrivedAt = microseconds()
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at] as number
      if (byte === AT) {
        this.#digits = 0
        this.#madeAt = 0
      } else if (this.#digits < TIME_DIGITS) {
        this.#madeAt = this.#madeAt * 10 + byte - ZERO
        this.#digits++
        if (this.#digits === TIME_DIGITS) this.#onToken(arrivedAt - this.#madeAt)
      }
    }
  }
}
