import { garbled } from './upstream-errors.ts'

/** Of one event: a token with 20 alternatives has some kilobytes. */
export const EVENT_BYTES_MAX = 256 * 1024

const LF = 10
const CR = 13

/**
 * Splits the bytes of an event stream into the `data` of its events, however they are cut. Everything
 * that came is handed on in the same call; what is held is at most one event.
 */
export class EventSplitter {
  readonly #onData: (data: string) => void
  /** The line that has not ended yet. */
  #rest: Buffer[] = []
  #restBytes = 0
  #data: string | undefined
  /** Of the event, beside its open line. */
  #dataBytes = 0
  #isFirst = true

  constructor(onData: (data: string) => void) {
    this.#onData = onData
  }

  push(bytes: Buffer): void {
    let at = 0
    for (;;) {
      const end = bytes.indexOf(LF, at)
      if (end < 0) break
      this.#line(this.#whole(bytes.subarray(at, end)))
      at = end + 1
    }
    if (at === bytes.length) return
    this.#rest.push(bytes.subarray(at))
    this.#restBytes += bytes.length - at
    this.#check(this.#restBytes)
  }

  /** Of a server that does not write the empty line behind its last event. */
  end(): void {
    if (this.#restBytes > 0) this.#line(this.#whole(Buffer.alloc(0)))
    this.#dispatch()
  }

  #whole(end: Buffer): Buffer {
    if (this.#restBytes === 0) return end
    const whole = Buffer.concat([...this.#rest, end])
    this.#rest = []
    this.#restBytes = 0
    return whole
  }

  #check(lineBytes: number): void {
    if (lineBytes + this.#dataBytes > EVENT_BYTES_MAX) throw garbled('an event without an end')
  }

  #line(bytes: Buffer): void {
    this.#check(bytes.length)
    const end = bytes.at(-1) === CR ? bytes.length - 1 : bytes.length
    if (end === 0) {
      this.#dispatch()
      return
    }
    let line = bytes.toString('utf8', 0, end)
    if (this.#isFirst) {
      this.#isFirst = false
      line = line.replace(/^\ufeff/, '')
    }
    // Comments, and the names and ids of events, say nothing here.
    if (!line.startsWith('data:')) return
    const value = line.charCodeAt(5) === 0x20 ? line.slice(6) : line.slice(5)
    this.#data = this.#data === undefined ? value : `${this.#data}\n${value}`
    this.#dataBytes += bytes.length
  }

  #dispatch(): void {
    const data = this.#data
    if (data === undefined) return
    this.#data = undefined
    this.#dataBytes = 0
    this.#onData(data)
  }
}
