import { PeerError } from '../../base/errors.ts'
import { FRAME_BYTES_MAX } from '../../wire/protocols.ts'

/** 64 KiB takes 17 bits, and 7 go into each byte. */
const PREFIX_BYTES_MAX = 3
/** Smaller pieces are put together: each would weigh a hundred bytes more than what is in it. */
const SMALL_BYTES = 1024
const BLOCK_BYTES = 4 * 1024
/** Blocks that were read: a reader that never quite catches up must not hold all it ever read. */
const FORGET_AFTER = 64

/** Refuses what `FrameDecoder` would refuse on the other side. */
export function checkFrame(frame: Uint8Array): void {
  if (frame.length === 0 || frame.length > FRAME_BYTES_MAX) {
    throw new PeerError('bad_frame', `A frame has 1 to ${FRAME_BYTES_MAX} bytes.`)
  }
}

/** The frames with their lengths in front, in one piece of memory. */
export function joinFrames(frames: readonly Uint8Array[]): Uint8Array {
  let total = 0
  for (const { length } of frames) total += prefixBytes(length) + length
  const joined = new Uint8Array(total)
  let offset = 0
  for (const frame of frames) {
    let rest = frame.length
    for (; rest > 0x7f; rest >>>= 7) joined[offset++] = (rest & 0x7f) | 0x80
    joined[offset++] = rest
    joined.set(frame, offset)
    offset += frame.length
  }
  return joined
}

function prefixBytes(length: number): number {
  return length < 0x80 ? 1 : length < 0x4000 ? 2 : 3
}

interface Block {
  bytes: Uint8Array
  /** How much of `bytes` is used. */
  end: number
  /** Made here, and nobody else reads or writes it. */
  own: boolean
}

/** Cuts what arrived into frames, one when asked. Holds the bytes received, never room for more. */
export class FrameDecoder {
  #blocks: Block[] = []
  #first = 0
  /** Read of the first block. */
  #offset = 0
  #bytes = 0
  #prefix = 0
  #prefixBytes = 0
  /** Of the next frame; 0 while its prefix is not complete. */
  #length = 0

  /** What waits to be cut. */
  get bytes(): number {
    return this.#bytes
  }

  /** After `next` has found no whole frame: a part of one is there. */
  get isWithinFrame(): boolean {
    return this.#prefixBytes > 0
  }

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    const isLarge = bytes.length >= SMALL_BYTES
    // An empty block is in the way of what is not put into it.
    if (isLarge && this.#bytes === 0) this.#blocks = []
    this.#bytes += bytes.length
    if (isLarge) {
      this.#blocks.push({ bytes, end: bytes.length, own: false })
      return
    }
    let last = this.#blocks.at(-1)
    if (last === undefined || last.end + bytes.length > last.bytes.length) {
      last = { bytes: new Uint8Array(BLOCK_BYTES), end: 0, own: true }
      this.#blocks.push(last)
    }
    last.bytes.set(bytes, last.end)
    last.end += bytes.length
  }

  /** The next frame once all of it is there; throws when it must not be. */
  next(): Uint8Array | undefined {
    while (this.#length === 0) {
      if (this.#bytes === 0) return undefined
      this.#readPrefix(this.#takeByte())
    }
    if (this.#bytes < this.#length) return undefined
    const frame = this.#take(this.#length)
    this.#length = 0
    this.#prefix = 0
    this.#prefixBytes = 0
    return frame
  }

  #readPrefix(byte: number): void {
    this.#prefix |= (byte & 0x7f) << (7 * this.#prefixBytes)
    this.#prefixBytes++
    if (byte >= 0x80) {
      if (this.#prefixBytes === PREFIX_BYTES_MAX) throw badFrame('its length has too many bytes')
      return
    }
    if (byte === 0 && this.#prefixBytes > 1) throw badFrame('its length is longer than need be')
    if (this.#prefix === 0) throw badFrame('it is empty')
    if (this.#prefix > FRAME_BYTES_MAX) {
      throw badFrame(`its ${this.#prefix} bytes are more than ${FRAME_BYTES_MAX}`)
    }
    this.#length = this.#prefix
  }

  #takeByte(): number {
    const block = this.#blocks[this.#first] as Block
    const byte = block.bytes[this.#offset] as number
    this.#pass(block, 1)
    return byte
  }

  /** A copy: the bytes may lie in a piece of memory that is much larger, or in the pool of Buffer. */
  #take(length: number): Uint8Array {
    const taken = new Uint8Array(length)
    let done = 0
    while (done < length) {
      const block = this.#blocks[this.#first] as Block
      const part = Math.min(length - done, block.end - this.#offset)
      taken.set(block.bytes.subarray(this.#offset, this.#offset + part), done)
      done += part
      this.#pass(block, part)
    }
    return taken
  }

  #pass(block: Block, bytes: number): void {
    this.#bytes -= bytes
    this.#offset += bytes
    if (this.#offset < block.end) return
    this.#offset = 0
    // What was taken of it is a copy, so it may be filled again.
    if (this.#bytes === 0 && block.own) {
      block.end = 0
      this.#blocks = [block]
      this.#first = 0
      return
    }
    this.#first++
    if (this.#first < this.#blocks.length && this.#first < FORGET_AFTER) return
    this.#blocks.splice(0, this.#first)
    this.#first = 0
  }
}

function badFrame(why: string): PeerError {
  return new PeerError('bad_frame', `A frame was refused: ${why}.`, { action: 'penalise' })
}
