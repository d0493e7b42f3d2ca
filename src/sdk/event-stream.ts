import { ByteBuffer } from '../wire/byte-buffer.ts'
import { decodeUtf8 } from '../wire/canonical-json.ts'
import { malformed } from '../wire/malformed.ts'
import { utf8Length } from '../wire/utf8-length.ts'
import { v8Limits } from '../wire/v8-event.ts'

const LF = 10
const CR = 13
const BYTE_ORDER_MARK = '\ufeff'

/** Of the name of a field, and of an event. */
const NAME_BYTES_MAX = 256

class Line extends ByteBuffer {
  get length(): number {
    return this.at
  }

  add(bytes: Uint8Array): void {
    this.append(bytes)
  }
}

/**
 * The `data` of each event of an event stream, however its bytes are cut. What its lines mean, the
 * HTML standard says; that it is UTF-8 is not hoped for but asked for.
 */
export class EventStreamDecoder {
  #chunk: Uint8Array = new Uint8Array()
  #at = 0
  /** What came of a line that is not whole yet. */
  readonly #line = new Line()
  #data: string | undefined
  #dataBytes = 0
  #name = ''
  readonly #bytesMax: number
  #isFirstLine = true
  #endedWithCr = false

  /** The name that stood beside the data of the last event; empty where it had none. */
  name = ''

  /** Of the data of one event. */
  constructor(bytesMax: number = v8Limits.eventBytes) {
    this.#bytesMax = bytesMax
  }

  /** Only once `next` has nothing more. */
  push(bytes: Uint8Array): void {
    this.#chunk = bytes
    this.#at = 0
  }

  /** Undefined where more bytes are needed. Throws `malformed`. */
  next(): string | undefined {
    for (let line = this.#nextLine(); line !== undefined; line = this.#nextLine()) {
      if (line !== '') this.#take(line)
      else if (this.#data !== undefined) {
        const data = this.#data
        this.#data = undefined
        this.#dataBytes = 0
        this.name = this.#name
        this.#name = ''
        return data
      } else this.#name = ''
    }
    return undefined
  }

  #nextLine(): string | undefined {
    const chunk = this.#chunk
    // One line break is two bytes, of which the second may come later.
    if (this.#endedWithCr && this.#at < chunk.length) {
      this.#endedWithCr = false
      if (chunk[this.#at] === LF) this.#at++
    }
    const start = this.#at
    let end = start
    while (end < chunk.length && chunk[end] !== LF && chunk[end] !== CR) end++
    this.#at = end
    const most = this.#bytesMax + NAME_BYTES_MAX
    if (this.#line.length + end - start > most) {
      throw malformed('event', `has a line of more than ${most} bytes`)
    }
    if (end === chunk.length) {
      this.#line.add(chunk.subarray(start))
      return undefined
    }
    this.#at++
    this.#endedWithCr = chunk[end] === CR
    return this.#whole(chunk.subarray(start, end))
  }

  #whole(end: Uint8Array): string {
    let bytes = end
    if (this.#line.length > 0) {
      this.#line.add(end)
      bytes = this.#line.finish()
      this.#line.reset()
    }
    const line = decodeUtf8(bytes, 'event')
    const isMarked = this.#isFirstLine && line.startsWith(BYTE_ORDER_MARK)
    this.#isFirstLine = false
    return isMarked ? line.slice(1) : line
  }

  #take(line: string): void {
    const colon = line.indexOf(':')
    const field = colon < 0 ? line : line.slice(0, colon)
    if (field !== 'data' && field !== 'event') return
    const value =
      colon < 0 ? '' : line.slice(line.charAt(colon + 1) === ' ' ? colon + 2 : colon + 1)
    if (field === 'event') {
      this.#name = value.slice(0, NAME_BYTES_MAX)
      return
    }
    this.#dataBytes += utf8Length(value) + (this.#data === undefined ? 0 : 1)
    if (this.#dataBytes > this.#bytesMax) {
      throw malformed('event', `is longer than ${this.#bytesMax} bytes`)
    }
    this.#data = this.#data === undefined ? value : `${this.#data}\n${value}`
  }
}
