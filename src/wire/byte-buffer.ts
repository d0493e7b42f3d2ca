/** Most messages and records are smaller; memory that grew beyond `KEPT_BYTES_MAX` is not kept. */
const FIRST_BYTES = 1024
const KEPT_BYTES_MAX = 128 * 1024

/** Bytes that are written one after the other, into memory that is used again. */
export class ByteBuffer {
  protected memory = new Uint8Array(FIRST_BYTES)
  protected at = 0

  /** Forgets what a failed message left behind. */
  reset(): void {
    this.at = 0
  }

  finish(): Uint8Array<ArrayBuffer> {
    const written = this.memory.slice(0, this.at)
    if (this.memory.length > KEPT_BYTES_MAX) this.memory = new Uint8Array(FIRST_BYTES)
    return written
  }

  protected room(bytes: number): void {
    const needed = this.at + bytes
    if (needed <= this.memory.length) return
    const larger = new Uint8Array(Math.max(needed, this.memory.length * 2))
    larger.set(this.memory.subarray(0, this.at))
    this.memory = larger
  }

  protected append(value: Uint8Array): void {
    this.room(value.length)
    this.memory.set(value, this.at)
    this.at += value.length
  }

  /** False for a text with other characters, of which the first ones may have been written. */
  protected ascii(value: string): boolean {
    const { length } = value
    this.room(length)
    const { memory, at: first } = this
    for (let at = 0; at < length; at++) {
      const code = value.charCodeAt(at)
      if (code > 127) return false
      memory[first + at] = code
    }
    this.at = first + length
    return true
  }
}
