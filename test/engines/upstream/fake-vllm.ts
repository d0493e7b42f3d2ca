// Written from vLLM's published source (Apache-2.0): `ModelCard`, `ErrorResponse`, `StreamOptions` and
// `UsageInfo` of vllm/entrypoints/openai/engine/protocol.py, the stream generators of
// vllm/entrypoints/openai/chat_completion/serving.py and completion/serving.py, `/version` of api_server.py.
// Calls: docs/features/tool_calling.md, `DeltaToolCall` and `make_tool_call_id`; without a parser `auto` is refused.
// With `continuous_usage_stats` each chunk has what was counted until then; the first has the role alone.
import type { ServerResponse } from 'node:http'
import { type Asked, done, event, FakeServer, json, stream } from './fake-server.ts'

export const VLLM_MODEL = 'Qwen/Qwen2.5-0.5B-Instruct'
export const VLLM_WORDS = ['A', ' peer', ' is', ' one', ' running', ' process', '.']
export const VLLM_PROMPT_TOKENS = 31

export interface FakeVllmOptions {
  words?: readonly string[]
  /** Words in one chunk: it sends what a step has decoded, speculation included. */
  perChunk?: number
  key?: string
  /** Started with --enable-auto-tool-choice and a --tool-call-parser. */
  parses?: boolean
  /** Its model takes images. */
  sees?: boolean
  /** What the model calls where it is offered anything: a name, and the pieces of the arguments. */
  calls?: readonly (readonly [name: string, ...pieces: string[]])[]
  /** Waited for before each chunk, with its number. */
  pace?: (chunk: number, asked: Asked) => Promise<void> | void
}

export function fakeVllm(options: FakeVllmOptions = {}): FakeServer {
  return new FakeServer(async (asked, response) => {
    if (options.key !== undefined && asked.headers.authorization !== `Bearer ${options.key}`) {
      json(response, { error: 'Unauthorized' }, 401)
      return
    }
    switch (asked.path) {
      case '/v1/models':
        json(response, { object: 'list', data: [card()] })
        return
      case '/version':
        json(response, { version: '0.11.0' })
        return
      case '/v1/chat/completions':
      case '/v1/completions':
        if (asked.body.tools !== undefined && isAuto(asked) && options.parses !== true) {
          const message =
            '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
          json(
            response,
            { error: { message, type: 'BadRequestError', param: null, code: 400 } },
            400,
          )
          return
        }
        if (options.sees !== true && JSON.stringify(asked.body).includes('"image_url"')) {
          const message = `${VLLM_MODEL} is not a multimodal model`
          json(
            response,
            { error: { message, type: 'BadRequestError', param: null, code: 400 } },
            400,
          )
          return
        }
        if (asked.body.stream !== true) {
          json(response, { object: 'chat.completion', choices: [], usage: { prompt_tokens: 1 } })
          return
        }
        await answer(asked, response, options)
        return
      default:
        json(response, { detail: 'Not Found' }, 404)
    }
  })
}

const isAuto = ({ body }: Asked): boolean =>
  body.tool_choice === undefined || body.tool_choice === 'auto'

let asked = 0

/** Its time and the id of its permission are new each time. */
const card = () => ({
  id: VLLM_MODEL,
  object: 'model',
  created: asked++,
  owned_by: 'vllm',
  root: VLLM_MODEL,
  parent: null,
  max_model_len: 4096,
  permission: [{ id: `modelperm-${asked}`, object: 'model_permission', created: asked }],
})

async function answer(asked: Asked, response: ServerResponse, options: FakeVllmOptions) {
  const { words = VLLM_WORDS, perChunk = 1, pace } = options
  const { body, path } = asked
  if (body.model !== VLLM_MODEL) {
    const message = `The model \`${String(body.model)}\` does not exist.`
    json(response, { error: { message, type: 'NotFoundError', param: 'model', code: 404 } }, 404)
    return
  }
  const isChat = path === '/v1/chat/completions'
  const limit = Math.min(words.length, Number(body.max_tokens ?? words.length))
  const { continuous_usage_stats: isContinuous } = (body.stream_options ?? {}) as {
    continuous_usage_stats?: boolean
  }
  const usage = (completion_tokens: number) => ({
    prompt_tokens: VLLM_PROMPT_TOKENS,
    total_tokens: VLLM_PROMPT_TOKENS + completion_tokens,
    completion_tokens,
  })
  const chunk = (choices: unknown[], counted?: number) => ({
    id: isChat ? 'chatcmpl-1' : 'cmpl-1',
    object: isChat ? 'chat.completion.chunk' : 'text_completion',
    created: 1,
    model: VLLM_MODEL,
    choices,
    ...(counted !== undefined && { usage: usage(counted) }),
  })
  const choice = (text: string, finish: string | null, scored: readonly string[]) => ({
    index: 0,
    ...(isChat ? { delta: { content: text } } : { text }),
    logprobs: logprobs(body, scored, isChat),
    finish_reason: finish,
  })
  stream(response)
  if (isChat) {
    const role = { index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }
    event(response, chunk([role], isContinuous ? 0 : undefined))
  }
  const isCalling = Array.isArray(body.tools) && body.tool_choice !== 'none'
  if (isCalling && options.calls !== undefined) {
    let counted = 0
    const called = (tool: object) => {
      const delta = { index: 0, delta: { tool_calls: [tool] }, finish_reason: null }
      event(response, chunk([delta], isContinuous ? ++counted : undefined))
    }
    for (const [index, [name, ...pieces]] of options.calls.entries()) {
      await pace?.(index, asked)
      called({ index, id: `chatcmpl-tool-${index}`, type: 'function', function: { name } })
      for (const piece of pieces) called({ index, function: { arguments: piece } })
    }
    event(response, chunk([{ index: 0, delta: {}, finish_reason: 'tool_calls' }], counted + 1))
    event(response, chunk([], counted + 1))
    done(response)
    return
  }
  for (let at = 0; at < limit; at += perChunk) {
    await pace?.(at / perChunk, asked)
    if (response.destroyed) return
    const said = words.slice(at, Math.min(limit, at + perChunk))
    const isLast = at + perChunk >= limit
    const finish = isLast ? (limit < words.length ? 'length' : 'stop') : null
    const counted = isContinuous ? at + said.length : undefined
    event(response, chunk([choice(said.join(''), finish, said)], counted))
  }
  event(response, chunk([], limit))
  done(response)
}

function logprobs(body: Asked['body'], tokens: readonly string[], isChat: boolean) {
  if (body.logprobs === undefined) return null
  const score = (token: string) => ({ token, logprob: -0.5, bytes: [...Buffer.from(token)] })
  if (isChat) {
    const top = Number(body.top_logprobs ?? 0)
    return {
      content: tokens.map((token) => ({
        ...score(token),
        top_logprobs: [score(token), score('other')].slice(0, top),
      })),
    }
  }
  return {
    text_offset: tokens.map(() => 0),
    token_logprobs: tokens.map(() => -0.5),
    tokens,
    top_logprobs: tokens.map((token) => ({ [token]: -0.5 })),
  }
}
