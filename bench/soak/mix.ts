/** A whole number from 0 up to, not including, the limit. */
export type Draw = (limit: number) => number

/** One request, and how it has to end. */
export interface Ask {
  kind: string
  path: string
  body: string
  /** `200`, or the status and the code of the error. */
  expected: string
  key?: string
  /** The client vanishes after this time, whatever it has until then. */
  leaveMs?: number
}

/** Long enough for a client to leave in the middle. */
const TOKENS_MAX = 64
/** From before the first token to after the last. */
const LEAVE_MS_MAX = 100

/** Repeatable (mulberry32). */
export function seededDraw(seed: number): Draw {
  let state = seed
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0
    let bits = Math.imul(state ^ (state >>> 15), state | 1)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
    return ((bits ^ (bits >>> 14)) >>> 0) % limit
  }
}

const questions = ['Hello!', 'What is a peer?', 'Tell me a long story.', 'Count to nine.']
const chatPath = '/v1/chat/completions'

/** Any of them as likely as any other. */
const kinds: readonly ((draw: Draw) => Ask)[] = [
  (draw) => chat(draw, 'chat', false),
  (draw) => chat(draw, 'chat, streamed', true),
  (draw) => ({ ...chat(draw, 'chat, left', false), leaveMs: draw(LEAVE_MS_MAX) }),
  (draw) => ({ ...chat(draw, 'chat, streamed, left', true), leaveMs: draw(LEAVE_MS_MAX) }),
  (draw) => {
    const input = Array.from({ length: 1 + draw(8) }, () => `text ${draw(1_000_000)}`)
    return right('embeddings', '/v1/embeddings', { model: 'pinaivu-demo-embed', input })
  },
  (draw) =>
    right('completion', '/v1/completions', {
      model: 'pinaivu-demo',
      prompt: `Once upon a time ${draw(1000)}`,
      max_tokens: 1 + draw(TOKENS_MAX),
      n: 1 + draw(2),
      stream: draw(2) === 0,
    }),
  wrong,
]

export const drawAsk = (draw: Draw): Ask => (kinds[draw(kinds.length)] ?? wrong)(draw)

const right = (kind: string, path: string, body: object): Ask => ({
  ...{ kind, path, body: JSON.stringify(body) },
  expected: '200',
})

const chat = (draw: Draw, kind: string, stream: boolean, more: object = {}): Ask =>
  right(kind, chatPath, {
    model: 'pinaivu-demo',
    messages: [{ role: 'user', content: `${questions[draw(questions.length)]} ${draw(1000)}` }],
    max_tokens: 1 + draw(TOKENS_MAX),
    stream,
    ...more,
  })

const tooLong = [{ role: 'user', content: 'one two three four '.repeat(500) }]

/** A chat with one thing wrong. */
const mistakes: readonly [expected: string, ask: Partial<Ask>, body?: object][] = [
  ['401 invalid_api_key', { key: 'sk-pnv-of-nobody' }],
  ['404 unknown_url', { path: '/v1/nothing' }],
  ['405 method_not_allowed', { path: '/v1/models' }],
  ['422 invalid_json', { body: '{"model":' }],
  ['404 model_not_found', {}, { model: 'of-nobody' }],
  ['400 model_not_supported', {}, { model: 'pinaivu-demo-embed' }],
  ['400 unknown_parameter', {}, { nothing: 1 }],
  ['400 missing_required_parameter', {}, { messages: undefined }],
  ['400 invalid_type', {}, { temperature: 'hot' }],
  ['400 invalid_value', {}, { temperature: 9 }],
  ['400 context_length_exceeded', {}, { messages: tooLong }],
]

function wrong(draw: Draw): Ask {
  const [expected, ask, body] = mistakes[draw(mistakes.length)] ?? ['', {}]
  return { ...chat(draw, 'wrong', draw(2) === 0, body), expected, ...ask }
}
