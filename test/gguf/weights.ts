import { createCipheriv, createHash } from 'node:crypto'
import type { Tensor } from './writer.ts'

/** Standard deviation of a number drawn evenly from -128 to 127. */
const BYTE_DEVIATION = 73.9
const Q8_BLOCK_WEIGHTS = 32
const Q8_BLOCK_BYTES = 34
/** Exponent of 1.0 in a half-precision float, and where the exponent's bits begin. */
const HALF_BIAS = 15
const HALF_MANTISSA_BITS = 10
/** Weights made at a time: a piece stays below 10 MB. */
const PIECE_WEIGHTS = 1 << 18

export interface WeightOptions {
  seed: number
  deviation: number
}

export function ones(name: string, length: number): Tensor {
  const data = () => [new Uint8Array(new Float32Array(length).fill(1).buffer)]
  return { name, type: 'F32', dims: [length], data }
}

export function randomF32(name: string, dims: readonly number[], options: WeightOptions): Tensor {
  return {
    name,
    type: 'F32',
    dims,
    *data() {
      const random = keystream(`${options.seed} ${name}`)
      const width = options.deviation * Math.sqrt(12)
      for (const count of pieces(dims)) {
        const words = new Uint32Array(random(count * 4).buffer)
        const floats = new Float32Array(words).map((word) => (word / 2 ** 32 - 0.5) * width)
        yield new Uint8Array(floats.buffer)
      }
    },
  }
}

/** The deviation is rounded to a power of two: a block's scale is a half-precision float. */
export function randomQ8(name: string, dims: readonly number[], options: WeightOptions): Tensor {
  const exponent = Math.round(Math.log2(options.deviation / BYTE_DEVIATION))
  const scale = (HALF_BIAS + exponent) << HALF_MANTISSA_BITS
  return {
    name,
    type: 'Q8_0',
    dims,
    *data() {
      const random = keystream(`${options.seed} ${name}`)
      for (const count of pieces(dims)) {
        const bytes = random((count / Q8_BLOCK_WEIGHTS) * Q8_BLOCK_BYTES)
        const view = new DataView(bytes.buffer)
        for (let at = 0; at < bytes.length; at += Q8_BLOCK_BYTES) view.setUint16(at, scale, true)
        yield bytes
      }
    },
  }
}

function* pieces(dims: readonly number[]): Generator<number> {
  let left = dims.reduce((product, dim) => product * dim, 1)
  for (; left > 0; left -= PIECE_WEIGHTS) yield Math.min(left, PIECE_WEIGHTS)
}

/** AES over zeros: half a gigabyte a second of bytes that depend on the seed alone. */
function keystream(seed: string): (length: number) => Uint8Array<ArrayBuffer> {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16)
  const cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16))
  return (length) => new Uint8Array(cipher.update(new Uint8Array(length)))
}
