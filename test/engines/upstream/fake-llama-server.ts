// `modalities` and `chat_template_caps` of `/props` are as the built server says them.
// Written from tools/server/README.md and server-task.cpp of llama.cpp (MIT), as shipped with node-llama-cpp: `/props`,
// `meta` of `/v1/models`, `timings_per_token`, `exceed_context_size_error`, 501 for embeddings without the option.
import type { ServerResponse } from 'node:http'
import { type Asked, done, event, FakeServer, json, stream } from './fake-server.ts'

/** `says`: the words of each chat's answer; without any, no prompt fits. */
export function fakeLlamaServer({
  embeds = false,
  sees = false,
  says = [] as string[],
} = {}): FakeServer {
  return new FakeServer(({ path, body }, response) => {
    switch (path) {
      case '/v1/models': {
        const meta = {
          n_vocab: 1000,
          n_ctx_train: 131072,
          n_embd: 64,
          n_params: 3_000_000_000,
          size: 1,
        }
        const card = { id: '../models/m.gguf', object: 'model', owned_by: 'llamacpp', meta }
        json(response, { object: 'list', data: [card] })
        return
      }
      case '/props':
        json(response, {
          default_generation_settings: { n_ctx: 2048 },
          total_slots: 3,
          modalities: { vision: sees, audio: false },
          chat_template_caps: { supports_tools: false, supports_tool_calls: false },
        })
        return
      case '/v1/embeddings': {
        const message = 'This server does not support embeddings. Start it with `--embeddings`'
        const error = { code: 501, message, type: 'not_supported_error' }
        if (!embeds) json(response, { error }, 501)
        else
          json(response, { data: [{ index: 0, embedding: [1, 0] }], usage: { prompt_tokens: 1 } })
        return
      }
      case '/v1/completions': {
        stream(response)
        const chunk = (text: string, finish_reason: string | null) => ({
          choices: [{ text, index: 0, logprobs: null, finish_reason }],
        })
        const timings = (predicted_n: number) => ({ cache_n: 8, prompt_n: 2, predicted_n })
        const isTimed = body.timings_per_token === true
        // As of a chat, where the role comes first: an event without anything.
        event(response, chunk('', null))
        event(response, { ...chunk('a', null), ...(isTimed && { timings: timings(1) }) })
        // A token whose character is not whole is sent with the next one.
        event(response, { ...chunk('é', null), ...(isTimed && { timings: timings(3) }) })
        const usage = { prompt_tokens: 10, completion_tokens: 3 }
        const cached = { prompt_tokens_details: { cached_tokens: 8 } }
        event(response, { ...chunk('', 'length'), usage: { ...usage, ...cached } })
        done(response)
        return
      }
      case '/v1/chat/completions': {
        if (says.length > 0) {
          chat(response, says, body)
          return
        }
        const message = 'request (9000 tokens) exceeds the available context size (2048 tokens)'
        const error = { code: 400, message, type: 'exceed_context_size_error', n_ctx: 2048 }
        json(response, { error }, 400)
        return
      }
      default:
        json(
          response,
          { error: { code: 404, message: 'File Not Found', type: 'not_found_error' } },
          404,
        )
    }
  })
}

function chat(response: ServerResponse, says: readonly string[], body: Asked['body']): void {
  stream(response)
  const chunk = (delta: object, finish_reason: string | null = null) => ({
    choices: [{ finish_reason, index: 0, delta }],
    object: 'chat.completion.chunk',
  })
  const timings = (predicted_n: number) =>
    body.timings_per_token === true ? { timings: { cache_n: 0, prompt_n: 10, predicted_n } } : {}
  event(response, chunk({ role: 'assistant', content: null }))
  for (const [at, content] of says.entries()) {
    event(response, { ...chunk({ content }), ...timings(at + 1) })
  }
  event(response, chunk({}, 'stop'))
  const usage = { prompt_tokens: 10, completion_tokens: says.length }
  event(response, { choices: [], usage, ...timings(says.length) })
  done(response)
}
