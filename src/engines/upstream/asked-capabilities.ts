import { within } from '../../base/deadline.ts'
import type { ProbeParts } from './probe.ts'
import type { Can } from './server-facts.ts'

/** A busy server is not kept waiting for: what it takes is then seen when it is asked for it. */
const ASK_MS = 5_000
const ANSWER_BYTES_MAX = 256 * 1024

const tools = {
  tools: [{ type: 'function', function: { name: 'probe', parameters: { type: 'object' } } }],
  tool_choice: 'auto',
}

/** A grey square: smaller ones are beneath some models. */
const SQUARE =
  'iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAAAAACPAi4CAAAAKUlEQVR42u3MQREAAAwCIKMb3RD77SAA6VEEAoFAIBAIBAKBQCAQfA8G320AeXC6efoAAAAASUVORK5CYII='

/**
 * What a model of vLLM takes, which says so nowhere: whether it reads calls is an option of its start. It is
 * asked for one token of each.
 */
export async function askedCapabilities(parts: ProbeParts, model: string): Promise<Can> {
  const image = { type: 'image_url', image_url: { url: `data:image/png;base64,${SQUARE}` } }
  const [callsTools, sees] = await Promise.all([
    takes(parts, { ...tools, ...questionOf(model, 'Hi') }),
    takes(parts, questionOf(model, [image])),
  ])
  return { json: true, tools: callsTools, vision: sees }
}

const questionOf = (model: string, content: unknown) => ({
  ...{ model, max_tokens: 1 },
  messages: [{ role: 'user', content }],
})

/** Undefined where it does not say. */
async function takes(
  { http, clock, signal }: ProbeParts,
  asked: object,
): Promise<boolean | undefined> {
  const limit = { ms: ASK_MS, what: 'Asking what a model takes', signal }
  const ask = { path: '/v1/chat/completions', body: JSON.stringify(asked) }
  try {
    const { status } = await within(clock, limit, (ending) =>
      http.text({ ...ask, bytesMax: ANSWER_BYTES_MAX }, ending),
    )
    if (status === 200) return true
    return status === 400 || status === 422 ? false : undefined
  } catch {
    signal.throwIfAborted()
    return undefined
  }
}
