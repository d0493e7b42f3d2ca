import { describe, expect, it } from 'vitest'
import type { ChatWork } from '../../src/wire/job.ts'
import { contentBytes, inputTokensMax } from '../../src/wire/token-bounds.ts'
import { chat } from '../market/coordinator-stage.ts'

const work = (more: Partial<ChatWork>): ChatWork => ({ ...(chat() as ChatWork), ...more })
const most = (more: Partial<ChatWork> = {}, context = 1_000_000) =>
  inputTokensMax(work(more), context) - inputTokensMax(work({}), context)
const image = (bytes: number) => ({
  image: { type: 'image/png' as const, data: Buffer.alloc(bytes).toString('base64') },
})
const showing = (...parts: ReturnType<typeof image>[]) =>
  most({ messages: [...work({}).messages, { role: 'user', content: '', parts }] })

describe('what a prompt can come to', () => {
  it('is the same for an image of any size, and no more than the context', () => {
    expect(showing(image(10))).toBe(showing(image(1_000_000)))
    // The most of the models in use, a row of 128 patches with an end of its own.
    expect(showing(image(10))).toBeGreaterThanOrEqual(16_384 + 128)
    expect(showing(image(10), image(10))).toBeLessThan(3 * 16_800)
    const messages: ChatWork['messages'] = [{ role: 'user', content: '', parts: [image(10)] }]
    expect(inputTokensMax(work({ messages }), 4_096)).toBe(4_096)
    expect(contentBytes(work({ messages }))).toBe(0)
  })

  it('covers what templates make of functions and results', () => {
    const text = 'é'.repeat(1_000)
    const escaped = JSON.stringify(text).replace(/é/g, '\\u00e9').length
    const parameters = JSON.stringify({ description: text })
    expect(most({ functions: [{ name: 'f', parameters }] })).toBeGreaterThan(escaped)
    const format = { type: 'schema', name: 'n', schema: parameters } as const
    expect(most({ format })).toBeGreaterThan(escaped)
    const calls = [{ id: 'a', name: 'f', arguments: text }]
    const [first] = work({}).messages
    const said = (message: ChatWork['messages'][number]) =>
      most({ messages: [...(first ? [first] : []), message] })
    expect(said({ role: 'assistant', content: '', calls })).toBeGreaterThan(escaped)
    expect(said({ role: 'result', content: text, callId: 'a' })).toBeGreaterThan(escaped)
    // Not of what is only said.
    expect(said({ role: 'user', content: text })).toBe(2_000 + 32)
  })
})
