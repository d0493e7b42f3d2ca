/** Tokens of every answer in this bench. */
export const ANSWER_TOKENS = 20

export const answerPieces: readonly string[] = Array.from(
  { length: ANSWER_TOKENS },
  (_, n) => ` word${n}`,
)

export const question = {
  messages: [
    { role: 'system', content: 'You are a helpful assistant.' },
    { role: 'user', content: 'What does a peer-to-peer inference network do, in one sentence?' },
  ],
  temperature: 0.7,
  max_tokens: 256,
}

const head = { id: 'chatcmpl-1', created: 1_750_000_000, model: 'instant' }
const usage = {
  prompt_tokens: 32,
  completion_tokens: ANSWER_TOKENS,
  total_tokens: 32 + ANSWER_TOKENS,
}

/** What the baseline's upstream answers, made once. */
export const wholeAnswer = JSON.stringify({
  ...head,
  object: 'chat.completion',
  choices: [
    {
      index: 0,
      message: { role: 'assistant', content: answerPieces.join(''), refusal: null },
      logprobs: null,
      finish_reason: 'stop',
    },
  ],
  usage,
})

export const streamedAnswer: readonly string[] = [
  ...answerPieces.map((content) => event({ content }, null)),
  event({}, 'stop'),
  'data: [DONE]\n\n',
]

function event(delta: object, finish: string | null): string {
  const choices = [{ index: 0, delta, logprobs: null, finish_reason: finish }]
  return `data: ${JSON.stringify({ ...head, object: 'chat.completion.chunk', choices })}\n\n`
}
