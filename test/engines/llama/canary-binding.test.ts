import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { Llama, LlamaContext, LlamaModel } from 'node-llama-cpp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  nativeContext,
  nativeLibrary,
  nativeModel,
  newSampler,
  recycling,
} from '../../../src/engines/llama/core/binding.ts'
import { openLibraryModel } from './library-model.ts'

// What our tick loop takes from the library's inside. When one of these fails after an upgrade,
// read the library's changes before anything else.

let llama: Llama
let model: LlamaModel
let context: LlamaContext

beforeAll(async () => {
  ;({ llama, model } = await openLibraryModel())
  context = await model.createContext({ sequences: 2, contextSize: 256, batchSize: 64, threads: 1 })
})
afterAll(async () => {
  await llama.dispose()
})

describe('the private binding', () => {
  it('is of the version it was written for', () => {
    const entry = createRequire(import.meta.url).resolve('node-llama-cpp')
    const path = join(dirname(entry), '../package.json')
    expect(JSON.parse(readFileSync(path, 'utf8')).version).toBe('3.22.1')
  })

  it('has all that is used of it', () => {
    expect(() => nativeContext(context)).not.toThrow()
    expect(() => nativeModel(model)).not.toThrow()
    expect(nativeLibrary(llama).isArchitectureSupported('llama')).toBe(true)
    expect(nativeLibrary(llama).isArchitectureSupported('abacus')).toBe(false)
    expect(nativeLibrary(llama).tensorBytes(8, 64)).toBe(68)
  })

  it('says what is missing of it', () => {
    expect(() => nativeContext({ _ctx: { initBatch() {} } } as never)).toThrow(
      /no _ctx\.\{addToBatch, decodeBatch/,
    )
  })

  it('decodes, samples, forgets and copies', async () => {
    const native = nativeContext(context)
    const sampler = newSampler(llama, nativeModel(model))
    sampler.applyConfig({})
    const tokens = Uint32Array.from(model.tokenize('A peer is one running process in the'))
    const next = async (sequence: number, position: number, part: Uint32Array) => {
      native.initBatch(part.length)
      const [logit = -1] = native.addToBatch(
        sequence,
        position,
        part,
        Uint32Array.of(part.length - 1),
      )
      await native.decodeBatch()
      return await native.sampleToken(logit, sampler)
    }
    const first = await next(0, 0, tokens)
    expect(await native.copySequenceStateFromOtherSequence(1, 0)).toBe(tokens.length - 1)
    for (const sequence of [0, 1]) {
      expect(native.removeTokenCellsFromSequence(sequence, tokens.length - 1, -1)).toBe(true)
      expect(await next(sequence, tokens.length - 1, tokens.subarray(-1))).toBe(first)
    }
    native.disposeSequence(0)
    native.disposeSequence(1)
    sampler.dispose()
  })

  it('gives logits of the whole vocabulary, and the weight relative to the largest', async () => {
    const native = nativeContext(context)
    const sampler = newSampler(llama, nativeModel(model))
    sampler.applyConfig({})
    native.initBatch(1)
    const [logit = -1] = native.addToBatch(0, 0, Uint32Array.of(300), Uint32Array.of(0))
    await native.decodeBatch()
    const all = await native.sampleToken(logit, sampler, false, false, true, true)
    const logits = (all[3] ?? []).filter((_, at) => at % 2 === 1)
    expect(logits).toHaveLength(2048)
    const most = Math.max(...logits)
    const weight = logits.reduce((sum, value) => sum + Math.exp(value - most), 0)
    expect(all[4]).toBeCloseTo(weight, 2)
    const one = await native.sampleToken(
      logit,
      sampler,
      false,
      false,
      [[5], false, false, true, 0],
      true,
    )
    expect(one[3]).toHaveLength(4)
    expect(one[3]?.[0]).toBe(one[0])
    expect(one[3]?.[1]).toBe(most)
    expect(one[3]?.[2]).toBe(5)
    native.disposeSequence(0)
    sampler.dispose()
  })

  it('has samplers that remember nothing when they are configured anew', async () => {
    const native = nativeContext(context)
    const take = recycling(() => newSampler(llama, nativeModel(model)))
    native.initBatch(1)
    const [logit = -1] = native.addToBatch(0, 0, Uint32Array.of(300), Uint32Array.of(0))
    await native.decodeBatch()
    const first = take()
    first.applyConfig({})
    const best = await native.sampleToken(logit, first)
    first.applyConfig({
      temperature: 1.5,
      topK: 5,
      topP: 0.5,
      seed: 7,
      repeatPenalty: 1,
      repeatPenaltyMaxTokens: 8,
      repeatPenaltyTokens: Uint32Array.of(best),
      repeatPenaltyPresencePenalty: 2,
      repeatPenaltyFrequencyPenalty: 2,
      tokenBiasKeys: Uint32Array.of(best),
      tokenBiasValues: Float32Array.of(Number.NEGATIVE_INFINITY),
    })
    expect(await native.sampleToken(logit, first)).not.toBe(best)
    first.dispose()
    first.dispose()
    const again = take()
    expect(again).toBe(first)
    // Disposed of twice, it is still given to one only.
    expect(take()).not.toBe(first)
    again.applyConfig({})
    expect(await native.sampleToken(logit, again)).toBe(best)
    native.disposeSequence(0)
  })
})
