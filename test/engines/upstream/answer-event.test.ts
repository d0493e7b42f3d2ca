import { describe, expect, it } from 'vitest'
import { readAnswerEvent } from '../../../src/engines/upstream/answer-event.ts'

const chat = (value: unknown) => readAnswerEvent(JSON.stringify(value), 'chat')
const choice = (more: object) => ({ choices: [{ index: 0, ...more }] })

describe('an event of a streamed answer', () => {
  it.each([
    ['a role', choice({ delta: { role: 'assistant', content: null } }), { text: '' }],
    ['a word', choice({ delta: { content: 'so' } }), { text: 'so', isReasoning: false }],
    ['a thought', choice({ delta: { reasoning_content: 'hm' } }), { text: '', isReasoning: true }],
    ['another spelling of that', choice({ delta: { reasoning: 'hm' } }), { isReasoning: true }],
    ['its end', choice({ delta: {}, finish_reason: 'stop' }), { finish: 'stop' }],
    ['its end by length', choice({ delta: {}, finish_reason: 'length' }), { finish: 'length' }],
    ['an end of another kind', choice({ finish_reason: 'tool_calls' }), { finish: 'stop' }],
    ['no end yet', choice({ delta: { content: 'a' }, finish_reason: '' }), { text: 'a' }],
    [
      'its usage',
      { choices: [], usage: { prompt_tokens: 3, completion_tokens: 4 } },
      { text: '', counted: { inputTokens: 3, outputTokens: 4 } },
    ],
    [
      'what came from a cache',
      { choices: [], usage: { prompt_tokens: 3, prompt_tokens_details: { cached_tokens: 2 } } },
      { counted: { inputTokens: 3, cachedTokens: 2 } },
    ],
    [
      'the timings of llama-server',
      { choices: [], timings: { prompt_n: 2, cache_n: 5, predicted_n: 1 } },
      { counted: { inputTokens: 7, cachedTokens: 5, outputTokens: 1 } },
    ],
    ['usage that is none yet', { choices: [], usage: null }, { counted: {} }],
    [
      'counts that are none',
      { usage: { prompt_tokens: -1, completion_tokens: 1.5 } },
      { counted: {} },
    ],
    ['a count beyond all counts', { usage: { prompt_tokens: 1e300 } }, { counted: {} }],
  ])('may be %s', (_what, value, expected) => {
    expect(chat(value)).toMatchObject(expected)
  })

  it('may be of a plain completion', () => {
    const value = choice({
      text: ' so',
      logprobs: {
        tokens: [' so'],
        token_logprobs: [-0.5],
        top_logprobs: [{ ' so': -0.5, no: -1 }],
      },
    })
    expect(readAnswerEvent(JSON.stringify(value), 'completion')).toMatchObject({
      text: ' so',
      logprobs: [{ token: ' so', logprob: -0.5, top: [{ token: ' so' }, { token: 'no' }] }],
    })
  })

  it('has log-probabilities that others can read', () => {
    const scores = [
      { token: 'a', logprob: 0.004, bytes: [97], top_logprobs: [] },
      { token: 'b', logprob: null, bytes: null },
      { token: 'x'.repeat(9000), logprob: -1, bytes: [300, 'a', 1] },
    ]
    const { logprobs = [] } = chat(choice({ delta: {}, logprobs: { content: scores } }))
    expect(logprobs.map(({ logprob }) => logprob)).toEqual([0, Number.NEGATIVE_INFINITY, -1])
    expect(logprobs.map(({ bytes }) => bytes)).toEqual([[97], [98], [1]])
    expect(logprobs[2]?.token).toHaveLength(128)
  })

  it.each([
    ['no JSON', '<html>'],
    ['a number', '7'],
    ['null', 'null'],
    ['a list', '[]'],
    ['choices that are none', '{"choices":"all"}'],
    ['a choice that is none', '{"choices":[7]}'],
    ['a delta that is none', '{"choices":[{"delta":"so"}]}'],
    ['a text that is none', '{"choices":[{"delta":{"content":{"a":1}}}]}'],
    ['scores that are none', '{"choices":[{"delta":{},"logprobs":{"content":[1]}}]}'],
    ['a token that is none', '{"choices":[{"delta":{},"logprobs":{"content":[{"token":1}]}}]}'],
    [
      'scores without an end',
      JSON.stringify(choice({ logprobs: { content: Array(5000).fill({ token: 'a' }) } })),
    ],
  ])('is refused where it is %s', (_what, text) => {
    expect(() => readAnswerEvent(text, 'chat')).toThrow(
      expect.objectContaining({ code: 'engine_failed' }),
    )
  })

  it.each([
    [{ error: { message: 'out of memory', type: 'server_error' } }, 'engine_failed'],
    [
      { error: { message: 'x', type: 'exceed_context_size_error', code: 400 } },
      'context_length_exceeded',
    ],
    [{ error: { message: 'queue full', code: 503 } }, 'overloaded'],
    [{ error: 'it broke' }, 'engine_failed'],
    [choice({ delta: {}, finish_reason: 'abort' }), 'engine_failed'],
  ])('%j is what went wrong there, in our words', (value, code) => {
    expect(() => chat(value)).toThrow(expect.objectContaining({ code }))
  })
})
