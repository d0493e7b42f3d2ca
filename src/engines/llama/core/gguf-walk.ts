import type { FileHandle } from 'node:fs/promises'

/** Some hundred are usual. */
const VALUES_MAX = 65_536
/** Of all arrays: vocabularies have half a million pieces and merges, and up to three facts of each. */
const ELEMENTS_MAX = 2 ** 22
const TENSORS_MAX = 2 ** 20
/** As llama.cpp has them. */
const DIMENSIONS_MAX = 4
/** Heads with the largest vocabularies have 20 MB. */
const HEAD_BYTES_MAX = 128 * 1024 * 1024
const WINDOW_BYTES = 256 * 1024

/** `GGUF` and the version. */
const BEGIN_BYTES = 8
const STRING = 8
const ARRAY = 9
/** Of each type of value, by its number. */
const valueBytes = [1, 1, 2, 2, 4, 4, 4, 1, undefined, undefined, 8, 8, 8]
const TYPE_AND_OFFSET_BYTES = 12

/**
 * Goes through what stands before the tensors without keeping any of it. The library's reader goes on for as
 * long as a head claims, hours behind the end of the file. Returns what is wrong; undefined where it may read.
 */
export async function headFault(file: FileHandle, sizeBytes: number): Promise<string | undefined> {
  const head = new Head(file, Math.min(sizeBytes, HEAD_BYTES_MAX))
  try {
    await head.skip(BEGIN_BYTES)
    const tensors = await head.count(TENSORS_MAX)
    const values = await head.count(VALUES_MAX)
    for (let at = 0; at < values; at++) {
      await head.skipText()
      await skipValue(head, await head.u32())
    }
    for (let at = 0; at < tensors; at++) {
      await head.skipText()
      const dimensions = await head.u32()
      if (dimensions > DIMENSIONS_MAX) throw new HeadFault('It holds a tensor of no known shape.')
      await head.skip(dimensions * 8 + TYPE_AND_OFFSET_BYTES)
    }
  } catch (error) {
    if (error instanceof HeadFault) return error.message
    throw error
  }
  return undefined
}

async function skipValue(head: Head, type: number): Promise<void> {
  if (type !== ARRAY) return await skipElements(head, type, 1)
  const element = await head.u32()
  await skipElements(head, element, await head.elements())
}

async function skipElements(head: Head, type: number, count: number): Promise<void> {
  const bytes = valueBytes[type]
  if (bytes !== undefined) return await head.skip(bytes * count)
  if (type !== STRING) throw new HeadFault('Its head is damaged.')
  for (let at = 0; at < count; at++) await head.skipText()
}

class HeadFault extends Error {}

/** A file that is read from its beginning, window by window. */
class Head {
  readonly #file: FileHandle
  readonly #end: number
  readonly #window = Buffer.allocUnsafe(WINDOW_BYTES)
  /** In the file: where the window begins and ends, and what is next. */
  #from = 0
  #to = 0
  #at = 0
  #elementsLeft = ELEMENTS_MAX

  constructor(file: FileHandle, end: number) {
    this.#file = file
    this.#end = end
  }

  async skip(bytes: number): Promise<void> {
    if (this.#at + bytes > this.#end) throw this.#beyond()
    this.#at += bytes
  }

  async u32(): Promise<number> {
    if (this.#at + 4 > this.#to) await this.#load(4)
    this.#at += 4
    return this.#window.readUInt32LE(this.#at - 4 - this.#from)
  }

  async count(max: number): Promise<number> {
    if (this.#at + 8 > this.#to) await this.#load(8)
    this.#at += 8
    const count = Number(this.#window.readBigUInt64LE(this.#at - 8 - this.#from))
    if (count > max) throw this.#beyond()
    return count
  }

  async elements(): Promise<number> {
    const count = await this.count(this.#elementsLeft)
    this.#elementsLeft -= count
    return count
  }

  async skipText(): Promise<void> {
    const bytes = await this.count(this.#end)
    await this.skip(bytes)
  }

  async #load(bytes: number): Promise<void> {
    if (this.#at + bytes > this.#end) throw this.#beyond()
    const { bytesRead } = await this.#file.read(this.#window, 0, WINDOW_BYTES, this.#at)
    if (bytesRead < bytes) throw this.#beyond()
    this.#from = this.#at
    this.#to = this.#at + bytesRead
  }

  #beyond(): HeadFault {
    return new HeadFault('Its head names more than the file has, or than any model.')
  }
}
