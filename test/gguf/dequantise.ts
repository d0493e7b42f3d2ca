import { readFileSync } from 'node:fs'
import { type ReadTensor, readGguf } from './reader.ts'
import { type Tensor, writeGguf } from './writer.ts'

const BLOCK_WEIGHTS = 32
const BLOCK_BYTES = 34
const F32_FILE_TYPE = 0

/** Writes a Q8_0 model of our own with the same weights in F32. */
export function dequantise(source: string, target: string): void {
  const { metadata, tensors } = readGguf(readFileSync(source))
  const fileType = { 'general.file_type': { type: 'u32', value: F32_FILE_TYPE } } as const
  writeGguf(target, { ...metadata, ...fileType }, tensors.map(inF32))
}

function inF32({ name, dims, type, data }: ReadTensor): Tensor {
  const bytes = () => [type === 'F32' ? whole(dims, data) : weightsOf(dims, data)]
  return { name, type: 'F32', dims, data: bytes }
}

/** Without what stands behind it to fill the file up. */
const whole = (dims: number[], data: Buffer): Uint8Array => data.subarray(0, 4 * product(dims))

function weightsOf(dims: number[], data: Buffer): Uint8Array {
  const weights = new Float32Array(product(dims))
  for (let at = 0, block = 0; at < weights.length; block += BLOCK_BYTES) {
    const scale = halfToNumber(data.readUInt16LE(block))
    for (let byte = block + 2; byte < block + BLOCK_BYTES; byte++) {
      weights[at++] = scale * data.readInt8(byte)
    }
  }
  if (weights.length % BLOCK_WEIGHTS !== 0) throw new RangeError('a part of a block')
  return new Uint8Array(weights.buffer)
}

function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 0x1f
  const mantissa = bits & 0x3ff
  if (exponent === 0) return sign * mantissa * 2 ** -24
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15)
}

const product = (dims: number[]): number => dims.reduce((all, dim) => all * dim, 1)
