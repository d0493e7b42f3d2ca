import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { modelMetadata, modelTensors, tinyShape, writeTiny } from './llama-model.ts'
import { encodeHeader, place } from './writer.ts'

/** Where the fields of a GGUF file's fixed part begin. */
const at = { version: 4, tensorCount: 8, metadataCount: 16, firstKeyLength: 24 } as const
const ABSURD = 2n ** 60n
/** Small enough to be believed, far more than the file can hold. */
const MANY = 2n ** 30n

/** Ways for a model file to be wrong, each made from the tiny model by one change. */
const makers = {
  empty: () => Buffer.alloc(0),
  truncatedHeader: (good) => good.subarray(0, 1000),
  truncatedTensors: (good) => good.subarray(0, Math.floor(good.length / 2)),
  wrongMagic: (good) => changed(good, (bytes) => bytes.write('FUGG', 0)),
  wrongVersion: (good) => changed(good, (bytes) => bytes.writeUInt32LE(99, at.version)),
  absurdTensorCount: (good) =>
    changed(good, (bytes) => bytes.writeBigUInt64LE(ABSURD, at.tensorCount)),
  manyTensors: (good) => changed(good, (bytes) => bytes.writeBigUInt64LE(MANY, at.tensorCount)),
  manyKeys: (good) => changed(good, (bytes) => bytes.writeBigUInt64LE(MANY, at.metadataCount)),
  absurdMetadataCount: (good) =>
    changed(good, (bytes) => bytes.writeBigUInt64LE(ABSURD, at.metadataCount)),
  hugeString: (good) => changed(good, (bytes) => bytes.writeBigUInt64LE(ABSURD, at.firstKeyLength)),
  offsetBeyondEnd: (good) => {
    const metadata = modelMetadata(tinyShape)
    const placed = place(modelTensors(tinyShape))
    const data = good.subarray(encodeHeader(metadata, placed).length)
    const misplaced = placed.map((tensor) => ({ ...tensor, offset: tensor.offset + 2 ** 40 }))
    return Buffer.concat([encodeHeader(metadata, misplaced), data])
  },
} as const satisfies Record<string, (good: Buffer) => Buffer>

/** The value of a key, of whatever sort. */
const raw = (...parts: (number | bigint)[]) => ({
  metadata: {
    'general.description': {
      type: 'raw' as const,
      value: Buffer.concat(
        parts.map((part) => {
          const bytes = Buffer.alloc(typeof part === 'bigint' ? 8 : 4)
          if (typeof part === 'bigint') bytes.writeBigUInt64LE(part)
          else bytes.writeUInt32LE(part)
          return bytes
        }),
      ),
    },
  },
})
const [STRING, ARRAY, U64] = [8, 9, 10]

const changes = {
  /** The library would read on for hours. */
  endlessArray: raw(ARRAY, 0, 2n ** 40n),
  endlessStrings: raw(ARRAY, STRING, 2n ** 40n),
  /** 2^61 of 8 bytes each are none, in 64 bits. */
  overflowingArray: raw(ARRAY, U64, 2n ** 61n),
  nestedArray: raw(ARRAY, ARRAY, 1n, ARRAY, 0n),
  unknownValue: raw(99),
  endlessValue: raw(STRING, 2n ** 62n),
  /** llama.cpp does not throw here: it aborts its process. */
  missingFeedForward: { without: ['llama.feed_forward_length'] },
  missingArchitecture: { without: ['general.architecture'] },
  missingTokens: { without: ['tokenizer.ggml.tokens'] },
  unknownArchitecture: {
    metadata: { 'general.architecture': { type: 'string', value: 'abacus' } },
  },
} as const

export type Malformation = keyof typeof makers | keyof typeof changes

export const malformations = [
  ...Object.keys(makers),
  ...Object.keys(changes),
] as readonly Malformation[]

/** Writes the tiny model, wrong in this one way, into the folder; returns the file's path. */
export function writeMalformed(folder: string, malformation: Malformation): string {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, `${malformation}.gguf`)
  if (malformation in changes) {
    writeTiny(path, changes[malformation as keyof typeof changes])
    return path
  }
  writeTiny(path)
  writeFileSync(path, makers[malformation as keyof typeof makers](readFileSync(path)))
  return path
}

function changed(good: Buffer, change: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.from(good)
  change(bytes)
  return bytes
}
