import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { EmbeddingWork } from '../../../src/wire/job.ts'
import { ask, embedModel, Harness, type Heard } from './core-harness.ts'

let engine: Harness

beforeAll(async () => {
  engine = await Harness.load({ modelPath: embedModel })
})
afterAll(async () => {
  await engine.core.dispose()
})

const embed = (inputs: string[], dimensions?: number): EmbeddingWork => ({
  kind: 'embedding',
  inputs,
  ...(dimensions === undefined ? {} : { dimensions }),
})
const vectorsOf = (heard: Heard) =>
  heard.chunks.flatMap((chunk) => (chunk.type === 'vectors' ? chunk.vectors : []))
const dot = (a: Float32Array, b: Float32Array) =>
  a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0)

describe('embeddings', () => {
  it('are of length 1, and near where the meaning is near', async () => {
    expect(engine.last('ready')).toMatchObject({ facts: { kind: 'embedding', contextLength: 512 } })
    const heard = await engine.run(
      embed(['What is a peer?', 'Could you please explain what a peer is?', 'Tell me a story.']),
    )
    const [a, b, c] = vectorsOf(heard)
    if (!a || !b || !c) throw new Error('three vectors were asked for')
    expect(a).toHaveLength(256)
    for (const vector of [a, b, c]) expect(dot(vector, vector)).toBeCloseTo(1, 5)
    expect(dot(a, b)).toBeGreaterThan(dot(a, c))
    expect(heard.done).toMatchObject({ finish: [], usage: { cachedTokens: 0, outputTokens: 0 } })
    expect(heard.chunks[0]).toEqual({
      type: 'accepted',
      inputTokens: heard.done.usage.inputTokens,
    })
    expect(heard.done.usage.inputTokens).toBeGreaterThan(10)
  })

  it('are cut and scaled back to length 1', async () => {
    const [whole] = vectorsOf(await engine.run(embed(['a peer'])))
    const [cut] = vectorsOf(await engine.run(embed(['a peer'], 16)))
    if (!whole || !cut) throw new Error('no vectors')
    expect(cut).toHaveLength(16)
    expect(dot(cut, cut)).toBeCloseTo(1, 5)
    expect((cut[3] ?? 0) / (cut[0] ?? 1)).toBeCloseTo((whole[3] ?? 0) / (whole[0] ?? 1), 4)
  })

  it('come in order and in parts for many inputs', async () => {
    const heard = await engine.run(embed(Array.from({ length: 150 }, (_, at) => `number ${at}`)))
    let next = 0
    for (const chunk of heard.chunks) {
      if (chunk.type !== 'vectors') continue
      expect(chunk.first).toBe(next)
      next += chunk.vectors.length
    }
    expect(next).toBe(150)
    expect(heard.chunks.length).toBeGreaterThan(3)
  })

  it('take an input that fills the context, and refuse a longer one with the numbers', async () => {
    const digits = (count: number) => '1'.repeat(count)
    const fits = await engine.run(embed([digits(512)]))
    expect(fits.done.usage.inputTokens).toBe(512)
    const { failure } = await engine.run(embed(['fine', digits(700)]))
    expect(failure).toMatchObject({ code: 'context_length_exceeded', param: 'input' })
    expect(failure?.message).toContain('context is 512 tokens; input[1] has 700')
  })

  it('of nothing, or with too many dimensions, are refused', async () => {
    const empty = await engine.run(embed(['']))
    expect(empty.failure).toMatchObject({ code: 'invalid_value', param: 'input' })
    for (const dimensions of [0, 257]) {
      const { failure } = await engine.run(embed(['a'], dimensions))
      expect(failure).toMatchObject({ code: 'invalid_value', param: 'dimensions' })
    }
  })

  it('stop between two inputs when cancelled', async () => {
    const { run, heard } = engine.start(embed(Array.from({ length: 2000 }, () => 'one two three')))
    const next = engine.start(embed(['after']))
    engine.cancel(run)
    await heard.ended.promise
    await next.heard.ended.promise
    expect(heard.done.finish).toEqual([])
    expect(vectorsOf(heard).length).toBeLessThan(2000)
    expect(vectorsOf(next.heard)).toHaveLength(1)
  })

  it('are all that an embedding model gives', async () => {
    const { failure } = await engine.run(ask('Hello!'))
    expect(failure).toMatchObject({
      code: 'unsupported_model_operation',
      param: 'model',
      message: 'This is an embedding model; use /v1/embeddings.',
    })
  })

  it('need no calibration', async () => {
    await engine.core.handle({ type: 'calibrate' })
    expect(engine.last('calibrated')?.result).toEqual({ slots: 1, threads: 1, measured: [] })
  })
})
