const utf8 = new TextEncoder()

/** Up to here a loop is faster than the encoder's overhead. */
const SHORT_CHARS = 32

/** Most messages are smaller; a buffer that grew beyond `KEPT_BYTES_MAX` is not kept. */
const FIRST_BYTES = 1024
const KEPT_BYTES_MAX = 128 * 1024

const floats = new Float32Array(1)
const floatBytes = new Uint8Array(floats.buffer)

/** Writes protobuf's elements one after the other into a buffer that is used again. */
export class Writer {
  #bytes = new Uint8Array(FIRST_BYTES)
  #at = 0

  /** Forgets what a failed message left behind. */
  reset(): void {
    this.#at = 0
  }

  finish(): Uint8Array<ArrayBuffer> {
    const written = this.#bytes.slice(0, this.#at)
    if (this.#bytes.length > KEPT_BYTES_MAX) this.#bytes = new Uint8Array(FIRST_BYTES)
    return written
  }

  varint(value: number): void {
    this.#room(8)
    while (value > 127) {
      this.#bytes[this.#at++] = (value % 128) | 128
      value = Math.floor(value / 128)
    }
    this.#bytes[this.#at++] = value
  }

  bytes(value: Uint8Array): void {
    this.varint(value.length)
    this.#room(value.length)
    this.#bytes.set(value, this.#at)
    this.#at += value.length
  }

  string(value: string): void {
    const start = this.begin()
    this.#room(value.length * 3)
    if (value.length > SHORT_CHARS || !this.#ascii(value)) {
      this.#at = start
      this.#at += utf8.encodeInto(value, this.#bytes.subarray(start)).written
    }
    this.end(start)
  }

  float(value: number): void {
    this.#room(4)
    floats[0] = value
    this.#bytes.set(floatBytes, this.#at)
    this.#at += 4
  }

  /** What is written between `begin` and `end` gets its length in front. */
  begin(): number {
    this.#room(1)
    this.#at += 1
    return this.#at
  }

  end(start: number): void {
    const length = this.#at - start
    if (length < 128) {
      this.#bytes[start - 1] = length
      return
    }
    // One byte was left for the length, and it takes more.
    const more = length < 1 << 14 ? 1 : length < 1 << 21 ? 2 : 3
    this.#room(more)
    this.#bytes.copyWithin(start + more, start, this.#at)
    this.#at = start - 1
    this.varint(length)
    this.#at = start + more + length
  }

  #ascii(value: string): boolean {
    for (let at = 0; at < value.length; at++) {
      const code = value.charCodeAt(at)
      if (code > 127) return false
      this.#bytes[this.#at++] = code
    }
    return true
  }

  #room(bytes: number): void {
    const needed = this.#at + bytes
    if (needed <= this.#bytes.length) return
    const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2))
    larger.set(this.#bytes.subarray(0, this.#at))
    this.#bytes = larger
  }
}
