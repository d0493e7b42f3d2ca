import { closeSync, openSync, renameSync, writeSync } from 'node:fs'

/** A metadata value of a GGUF file, with the types that a llama model needs. */
export type Value =
  | { type: 'u32' | 'f32'; value: number }
  | { type: 'bool'; value: boolean }
  | { type: 'string'; value: string }
  | { type: 'strings'; value: readonly string[] }
  | { type: 'i32s'; value: readonly number[] }
  /** Type and value as another file has them. */
  | { type: 'raw'; value: Uint8Array }

export type Metadata = Readonly<Record<string, Value>>

export type TensorType = 'F32' | 'Q8_0'

export interface Tensor {
  name: string
  type: TensorType
  /** ggml's order: the length of a row first. */
  dims: readonly number[]
  /** The tensor's bytes in pieces, so that a model never has to fit into memory. */
  data(): Iterable<Uint8Array>
}

export interface PlacedTensor extends Tensor {
  /** From the start of the data section. */
  offset: number
}

const ALIGNMENT = 32
const FORMAT_VERSION = 3
const ARRAY = 9
const valueIds = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8 } as const
const tensorIds = { F32: 0, Q8_0: 8 } as const
/** Weights in a block, and the bytes it takes. */
const blocks = { F32: [1, 4], Q8_0: [32, 34] } as const

export function tensorBytes(tensor: Tensor): number {
  const [weights, bytes] = blocks[tensor.type]
  if ((tensor.dims[0] ?? 0) % weights !== 0) {
    throw new RangeError(`a row of ${tensor.name} is not a whole number of blocks`)
  }
  return (tensor.dims.reduce((product, dim) => product * dim, 1) / weights) * bytes
}

export function place(tensors: readonly Tensor[]): PlacedTensor[] {
  let offset = 0
  return tensors.map((tensor) => {
    const placed = { ...tensor, offset }
    offset += aligned(tensorBytes(tensor))
    return placed
  })
}

export function encodeHeader(metadata: Metadata, tensors: readonly PlacedTensor[]): Buffer {
  const entries = Object.entries(metadata)
  const parts = [Buffer.from('GGUF'), u32(FORMAT_VERSION), u64(tensors.length), u64(entries.length)]
  for (const [key, value] of entries) parts.push(text(key), encodeValue(value))
  for (const { name, dims, type, offset } of tensors) {
    parts.push(text(name), u32(dims.length), ...dims.map(u64), u32(tensorIds[type]), u64(offset))
  }
  return padded(Buffer.concat(parts))
}

/** Writes beside the path and renames at the end, so that a file that is there is whole. */
export function writeGguf(path: string, metadata: Metadata, tensors: readonly Tensor[]): void {
  const part = `${path}.${process.pid}.part`
  const file = openSync(part, 'w')
  try {
    writeSync(file, encodeHeader(metadata, place(tensors)))
    for (const tensor of tensors) {
      let written = 0
      for (const piece of tensor.data()) written += writeSync(file, piece)
      if (written !== tensorBytes(tensor)) throw new RangeError(`${tensor.name}: ${written} bytes`)
      writeSync(file, Buffer.alloc(aligned(written) - written))
    }
  } finally {
    closeSync(file)
  }
  renameSync(part, path)
}

function encodeValue(value: Value): Buffer {
  switch (value.type) {
    case 'u32':
      return Buffer.concat([u32(valueIds.u32), u32(value.value)])
    case 'f32':
      return Buffer.concat([u32(valueIds.f32), f32(value.value)])
    case 'bool':
      return Buffer.concat([u32(valueIds.bool), Buffer.of(value.value ? 1 : 0)])
    case 'string':
      return Buffer.concat([u32(valueIds.string), text(value.value)])
    case 'strings':
      return array(valueIds.string, value.value.map(text))
    case 'i32s':
      return array(valueIds.i32, value.value.map(i32))
    case 'raw':
      return Buffer.from(value.value)
  }
}

function array(elementId: number, elements: readonly Buffer[]): Buffer {
  return Buffer.concat([u32(ARRAY), u32(elementId), u64(elements.length), ...elements])
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function i32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(value)
  return bytes
}

function f32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeFloatLE(value)
  return bytes
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([u64(bytes.length), bytes])
}

function aligned(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes], aligned(bytes.length))
}
