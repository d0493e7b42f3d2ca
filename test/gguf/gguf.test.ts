import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readGgufFileInfo } from 'node-llama-cpp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { tinyShape, writeModel, writeTiny } from './llama-model.ts'
import { malformations, writeMalformed } from './malformed.ts'
import { endTokens, specialTokens } from './vocabulary.ts'

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
