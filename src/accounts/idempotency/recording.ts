import type { KeptAnswer } from './answer-rows.ts'

export interface RecordingLimits {
  /** Of one answer. */
  answerBytesMax: number
  /** Of all that are being recorded. */
  recordedBytesMax: number
}

/** What all recordings hold together. */
export interface Recorded {
  bytes: number
}

/** What is sent as a stream, as far as it is kept. */
export class Recording {
  readonly #limits: RecordingLimits
  readonly #all: Recorded
  readonly #pieces: string[] = []
  #headers: Record<string, string> | undefined
  #trailers: Record<string, string> = {}
  #bytes = 0
  #isDropped = false

  constructor(limits: RecordingLimits, all: Recorded) {
    this.#limits = limits
    this.#all = all
  }

  /** The answer is a stream, whose head was sent. */
  get opened(): boolean {
    return this.#headers !== undefined
  }

  open(headers: Record<string, string>): void {
    this.#headers ??= headers
  }

  add(text: string): void {
    if (this.#isDropped) return
    const bytes = Buffer.byteLength(text)
    const { answerBytesMax, recordedBytesMax } = this.#limits
    if (this.#bytes + bytes > answerBytesMax || this.#all.bytes + bytes > recordedBytesMax) {
      this.end()
      this.#isDropped = true
      return
    }
    this.#bytes += bytes
    this.#all.bytes += bytes
    this.#pieces.push(text)
  }

  trail(trailers: Record<string, string>): void {
    this.#trailers = trailers
  }

  /** Undefined where it was too much to be kept. */
  answer(): KeptAnswer | undefined {
    if (this.#isDropped || this.#headers === undefined) return undefined
    return {
      status: 200,
      headers: this.#headers,
      trailers: this.#trailers,
      isStream: true,
      body: Buffer.from(this.#pieces.join('')),
    }
  }

  /** Lets go of what it holds. */
  end(): void {
    this.#all.bytes -= this.#bytes
    this.#bytes = 0
    this.#pieces.length = 0
  }
}
