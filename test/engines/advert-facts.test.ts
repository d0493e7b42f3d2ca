import { describe, expect, it } from 'vitest'
import { advertModel, modelLoad } from '../../src/engines/advert-facts.ts'
import type { ModelFacts, ModelStatus } from '../../src/engines/engine.ts'

const facts: ModelFacts = {
  kind: 'chat',
  architecture: 'llama',
  parameters: 3_000_000_000,
  quant: 'Q4_K_M',
  sizeBytes: 2_000_000_000,
  contextLength: 8192,
  vocabularySize: 128_256,
  embeddingLength: 3072,
}
const status: ModelStatus = {
  name: 'llama-3.2-3b',
  id: 'cid:bafkrei',
  state: 'ready',
  created: 1_700_000_000,
  demo: false,
  facts,
  slots: 4,
  threads: 7,
  running: 2,
  queued: 1,
  tokensPerSecond: 41.5,
}

describe('what a peer says of a model', () => {
  it('is what was read from its file, and what it really does', () => {
    expect(advertModel(status)).toEqual({
      name: 'llama-3.2-3b',
      id: 'cid:bafkrei',
      kind: 'chat',
      family: 'llama',
      parameters: 3_000_000_000,
      quant: 'Q4_K_M',
      contextLength: 8192,
      embeddingLength: 0,
      capabilities: ['chat', 'completion', 'logprobs'],
      slots: 4,
    })
    expect(advertModel({ ...status, facts: { ...facts, kind: 'embedding' } })).toMatchObject({
      kind: 'embedding',
      embeddingLength: 3072,
      capabilities: ['embedding'],
    })
  })

  it('says how busy it is', () => {
    const load = { slots: 4, running: 2, queued: 1, tokensPerSecond: 41.5 }
    expect(modelLoad(status)).toEqual({ id: 'cid:bafkrei', ready: true, ...load })
    expect(modelLoad({ ...status, state: 'restarting' })?.ready).toBe(false)
  })

  it.each<[string, Partial<Record<keyof ModelStatus, unknown>>]>([
    ['one whose file was not read yet', { id: undefined }],
    ['one that was never loaded', { facts: undefined }],
    ['one that cannot be loaded', { state: 'failed' }],
  ])('is nothing for %s', (_, more) => {
    const other = { ...status, ...more } as ModelStatus
    expect(advertModel(other)).toBeUndefined()
    expect(modelLoad(other)).toBeUndefined()
  })
})
