import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readGgufFileInfo } from 'node-llama-cpp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { packageRoot } from '../../src/base/package-root.ts'
import { demoF32 } from './lane.ts'
import { tinyShape, writeModel, writeTiny } from './llama-model.ts'
import { malformations, writeMalformed } from './malformed.ts'
import { endTokens, specialTokens } from './vocabulary.ts'

const demo = join(packageRoot(), 'models/pinaivu-demo-q8_0.gguf')
const read = (path: string) => readGgufFileInfo(path, { logWarnings: false })

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'gguf-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

describe('a model file', () => {
  test('is read with the measures that it was made with', async () => {
    const path = join(folder, 'tiny.gguf')
    writeTiny(path)
    const info = await read(path)
    expect(info.version).toBe(3)
    expect(info.metadata.general.architecture).toBe('llama')
    expect(info.metadata.general.name).toBe('tiny')
    expect(info.architectureMetadata).toMatchObject({
      block_count: tinyShape.layers,
      context_length: tinyShape.context,
      embedding_length: tinyShape.embedding,
      feed_forward_length: tinyShape.feedForward,
      attention: { head_count: tinyShape.heads, head_count_kv: tinyShape.kvHeads },
    })
    expect(info.fullTensorInfo).toHaveLength(2 + 9 * tinyShape.layers)
    const last = info.fullTensorInfo?.at(-1)
    expect(last?.name).toBe('blk.1.ffn_down.weight')
    const end = Number(last?.fileOffset) + tinyShape.feedForward * tinyShape.embedding * 4
    expect(readFileSync(path)).toHaveLength(end)
  })

  test('has the vocabulary asked for, its special tokens last', async () => {
    const path = join(folder, 'tokens.gguf')
    writeModel(path, { ...tinyShape, vocabulary: 900 })
    const { tokens, token_type, merges } = (await read(path)).metadata.tokenizer.ggml
    expect(tokens).toHaveLength(900)
    expect(new Set(tokens).size).toBe(900)
    expect(tokens.slice(-3)).toEqual(specialTokens)
    expect(Array.from(token_type ?? []).slice(-4)).toEqual([1, 3, 3, 3])
    expect(endTokens(900).map((id) => tokens[id])).toEqual(['<|endoftext|>', '<|im_end|>'])
    for (const merge of merges ?? []) expect(tokens).toContain(merge.replace(' ', ''))
  })

  test('depends on the seed alone', () => {
    const hash = (name: string, seed: number) => {
      const path = join(folder, name)
      writeTiny(path, { seed })
      return createHash('sha256').update(readFileSync(path)).digest('hex')
    }
    expect(hash('a.gguf', 7)).toBe(hash('b.gguf', 7))
    expect(hash('a.gguf', 7)).not.toBe(hash('b.gguf', 8))
  })

  test('can hold quantised blocks', async () => {
    const path = join(folder, 'q8.gguf')
    writeModel(path, { ...tinyShape, type: 'Q8_0' })
    const info = await read(path)
    const [embedding] = info.fullTensorInfo ?? []
    expect(embedding?.dimensions).toEqual([tinyShape.embedding, tinyShape.vocabulary])
    const scaleAt = Number(embedding?.fileOffset)
    const bytes = readFileSync(path)
    // 0.08 is about 74 times 2^-10, and 2^-10 as a half-precision float is 0x1400.
    for (const block of [0, 1, 4095]) expect(bytes.readUInt16LE(scaleAt + block * 34)).toBe(0x1400)
    expect(bytes.subarray(scaleAt + 2, scaleAt + 34)).not.toEqual(Buffer.alloc(32))
  })
})

describe('a model for runs that are compared', () => {
  test('is the demo model, its weights in F32', async () => {
    const path = demoF32()
    const [info, source] = await Promise.all([read(path), read(demo)])
    expect(info.metadata.general.file_type).toBe(0)
    expect(info.metadata.tokenizer).toEqual(source.metadata.tokenizer)
    expect(info.fullTensorInfo?.map(({ name }) => name)).toEqual(
      source.fullTensorInfo?.map(({ name }) => name),
    )
    const [bytes, quantised] = [readFileSync(path), readFileSync(demo)]
    for (const [at, tensor] of (info.fullTensorInfo ?? []).entries()) {
      const of = source.fullTensorInfo?.[at]
      expect(tensor.ggmlType).toBe(0)
      // The last weight: whoever is off by one somewhere is so here.
      const weights = tensor.dimensions.reduce((all: number, dim) => all * Number(dim), 1)
      const value = bytes.readFloatLE(Number(tensor.fileOffset) + 4 * (weights - 1))
      if (of?.ggmlType === 0) {
        expect(value).toBe(quantised.readFloatLE(Number(of.fileOffset) + 4 * (weights - 1)))
      } else {
        const block = Number(of?.fileOffset) + (weights / 32 - 1) * 34
        const scale = new DataView(quantised.buffer, quantised.byteOffset + block).getUint16(
          0,
          true,
        )
        const size = (1 + (scale & 0x3ff) / 1024) * 2 ** ((scale >> 10) - 15)
        expect(value).toBe(Math.fround(size * quantised.readInt8(block + 33)))
      }
    }
  })

  test('is made once', () => {
    const made = demoF32()
    const { mtimeMs } = statSync(made)
    expect(demoF32()).toBe(made)
    expect(statSync(made).mtimeMs).toBe(mtimeMs)
  })
})

describe('a malformed file', () => {
  test.each(malformations)('%s differs from the good one', (malformation) => {
    const good = join(folder, 'good.gguf')
    writeTiny(good)
    const bad = readFileSync(writeMalformed(folder, malformation))
    expect(bad.equals(readFileSync(good))).toBe(false)
  })

  test.each([
    'empty',
    'wrongMagic',
    'absurdTensorCount',
    'absurdMetadataCount',
    'hugeString',
  ] as const)('%s is refused by the reader', async (malformation) => {
    await expect(read(writeMalformed(folder, malformation))).rejects.toThrow()
  })

  test('lacks the key that it says it lacks', async () => {
    const info = await read(writeMalformed(folder, 'missingFeedForward'))
    expect(info.architectureMetadata).not.toHaveProperty('feed_forward_length')
  })
})
