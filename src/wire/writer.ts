import { ByteBuffer } from './byte-buffer.ts'

const utf8 = new TextEncoder()

/** Up to here a loop is faster than the encoder's overhead. */
const SHORT_CHARS = 32

const floats = new Float32Array(1)
const floatBytes = new Uint8Array(floats.buffer)

/** Writes protobuf's elements one after the other into a buffer that is used again. */
export class Writer extends ByteBuffer {
  varint(value: number): void {
    this.room(8)
    while (value > 127) {
      this.memory[this.at++] = (value % 128) | 128
      value = Math.floor(value / 128)
    }
    this.memory[this.at++] = value
  }

  bytes(value: Uint8Array): void {
    this.varint(value.length)
    this.append(value)
  }

  string(value: string): void {
    const start = this.begin()
    this.room(value.length * 3)
    if (value.length > SHORT_CHARS || !this.ascii(value)) {
      this.at = start
      this.at += utf8.encodeInto(value, this.memory.subarray(start)).written
    }
    this.end(start)
  }

  float(value: number): void {
    this.room(4)
    floats[0] = value
    this.memory.set(floatBytes, this.at)
    this.at += 4
  }

  /** What is written between `begin` and `end` gets its length in front. */
  begin(): number {
    this.room(1)
    this.at += 1
    return this.at
  }

  end(start: number): void {
    const length = this.at - start
    if (length < 128) {
      this.memory[start - 1] = length
      return
    }
    // One byte was left for the length, and it takes more.
    const more = length < 1 << 14 ? 1 : length < 1 << 21 ? 2 : 3
    this.room(more)
    this.memory.copyWithin(start + more, start, this.at)
    this.at = start - 1
    this.varint(length)
    this.at = start + more + length
  }
}
