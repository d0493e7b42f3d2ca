import type { Metadata, TensorType, Value } from './writer.ts'

export interface ReadTensor {
  name: string
  type: TensorType
  dims: number[]
  data: Buffer
}

export interface ReadModel {
  metadata: Metadata
  tensors: ReadTensor[]
}

const ALIGNMENT = 32
const ARRAY = 9
const STRING = 8
/** Bytes of a value, by its type. */
const sizes: Readonly<Record<number, number>> = {
  ...{ 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 },
}
const tensorTypes: Readonly<Record<number, TensorType>> = { 0: 'F32', 8: 'Q8_0' }

/** Takes a model file of our own apart; its metadata stays as it is written. */
export function readGguf(file: Buffer): ReadModel {
  const reader = new Reader(file)
  if (reader.take(4).toString() !== 'GGUF') throw new TypeError('this is no GGUF file')
  reader.u32()
  const tensorCount = reader.u64()
  const entryCount = reader.u64()
  const metadata: Record<string, Value> = {}
  for (let at = 0; at < entryCount; at++) metadata[reader.text()] = reader.value()
  const places = Array.from({ length: tensorCount }, () => reader.place())
  const data = Math.ceil(reader.at / ALIGNMENT) * ALIGNMENT
  const ends = [...places.slice(1).map(({ offset }) => offset), file.length - data]
  const tensors = places.map(({ offset, ...tensor }, at) => ({
    ...tensor,
    data: file.subarray(data + offset, data + (ends[at] ?? 0)),
  }))
  return { metadata, tensors }
}

class Reader {
  at = 0
  readonly #file: Buffer

  constructor(file: Buffer) {
    this.#file = file
  }

  take(length: number): Buffer {
    const taken = this.#file.subarray(this.at, this.at + length)
    this.at += length
    return taken
  }

  u32(): number {
    return this.take(4).readUInt32LE()
  }

  u64(): number {
    return Number(this.take(8).readBigUInt64LE())
  }

  text(): string {
    return this.take(this.u64()).toString()
  }

  value(): Value {
    const start = this.at
    this.#skip(this.u32())
    return { type: 'raw', value: this.#file.subarray(start, this.at) }
  }

  place() {
    const name = this.text()
    const dims = Array.from({ length: this.u32() }, () => this.u64())
    const type = tensorTypes[this.u32()]
    if (type === undefined) throw new TypeError(`${name} is neither F32 nor Q8_0`)
    return { name, dims, type, offset: this.u64() }
  }

  #skip(type: number): void {
    if (type === STRING) {
      this.text()
    } else if (type === ARRAY) {
      const of = this.u32()
      for (let left = this.u64(); left > 0; left--) this.#skip(of)
    } else {
      const size = sizes[type]
      if (size === undefined) throw new TypeError(`there is no value of type ${type}`)
      this.at += size
    }
  }
}
