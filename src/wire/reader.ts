import type { PeerError } from '../base/errors.ts'
import { malformed } from './malformed.ts'

// Why not a library's reader: those at hand read beyond the end, wrap numbers that are too large,
// take any bytes for UTF-8 and descend into groups without end.

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Up to here a loop is faster than the decoder's overhead. */
const SHORT_BYTES = 16

/** Bytes of a varint of 64 bits; ours have 53, but an unknown field may be of that kind. */
const VARINT_BYTES_MAX = 10

const LONGER_THAN_NEEDED = 'has a number that is longer than it needs to be'

const floats = new Float32Array(1)
const floatBytes = new Uint8Array(floats.buffer)

/** Reads protobuf's elements, in the strict way of `protocols/README.md`. */
export class Reader {
  readonly bytes: Uint8Array
  at = 0
  end: number
  /** What is being read, for the message of a refusal. */
  where: string
  /** The first value that only a newer version knows: refused when all else is well formed. */
  unsupported: PeerError | undefined

  constructor(bytes: Uint8Array, where: string) {
    this.bytes = bytes
    this.end = bytes.length
    this.where = where
  }

  fail(reason: string): never {
    throw malformed(this.where, reason)
  }

  varint(): number {
    const first = this.#byte()
    if (first < 128) return first
    let value = first & 127
    let scale = 128
    for (let n = 1; n < 8; n++) {
      const byte = this.#byte()
      value += (byte & 127) * scale
      if (byte < 128) {
        if (byte === 0) this.fail(LONGER_THAN_NEEDED)
        if (value > Number.MAX_SAFE_INTEGER) break
        return value
      }
      scale *= 128
    }
    return this.fail('has a number above 2^53 - 1')
  }

  /** Of something that lies in what is left. */
  length(max: number): number {
    const length = this.varint()
    if (length > max) this.fail(`is longer than ${max} bytes`)
    if (length > this.end - this.at) this.#cutOff()
    return length
  }

  /** A copy: whoever keeps it does not keep the whole frame. */
  take(length: number): Uint8Array<ArrayBuffer> {
    const copy = new Uint8Array(length)
    copy.set(this.bytes.subarray(this.at, this.at + length))
    this.at += length
    return copy
  }

  string(bytesMax: number): string {
    const length = this.length(bytesMax)
    const start = this.at
    this.at += length
    if (length <= SHORT_BYTES) {
      let text = ''
      for (let at = start; at < this.at; at++) {
        const byte = this.bytes[at] ?? 0
        if (byte > 127) return this.#decode(start)
        text += String.fromCharCode(byte)
      }
      return text
    }
    return this.#decode(start)
  }

  float(): number {
    if (this.end - this.at < 4) this.#cutOff()
    for (let n = 0; n < 4; n++) floatBytes[n] = this.bytes[this.at++] ?? 0
    return floats[0] ?? 0
  }

  /** Passes over a field that is not known. */
  skip(wireType: number): void {
    if (wireType === 0) this.#skipVarint()
    else if (wireType === 1) this.#advance(8)
    else if (wireType === 2) this.#advance(this.length(Number.POSITIVE_INFINITY))
    else if (wireType === 5) this.#advance(4)
    else this.fail('has a field of a wire type that is not in use')
  }

  #skipVarint(): void {
    for (let n = 1; n < VARINT_BYTES_MAX; n++) {
      const byte = this.#byte()
      if (byte >= 128) continue
      if (byte === 0 && n > 1) this.fail(LONGER_THAN_NEEDED)
      return
    }
    // Nine bytes hold 63 bits.
    if (this.#byte() !== 1) this.fail('has a number that is not below 2^64, or too long')
  }

  #byte(): number {
    if (this.at >= this.end) this.#cutOff()
    return this.bytes[this.at++] ?? 0
  }

  #advance(length: number): void {
    if (this.end - this.at < length) this.#cutOff()
    this.at += length
  }

  #decode(start: number): string {
    try {
      return utf8.decode(this.bytes.subarray(start, this.at))
    } catch {
      return this.fail('is not UTF-8')
    }
  }

  #cutOff(): never {
    return this.fail('is cut off')
  }
}
