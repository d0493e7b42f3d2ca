// Written from SGLang's published source (Apache-2.0) and documentation: `ModelCard` of
// python/sglang/srt/entrypoints/openai/protocol.py, usage_processor.py, `/model_info` and `/server_info` of the
// native APIs (`tool_call_parser` is an option of its start). With
// `continuous_usage_stats` each chunk has what was counted until then; an error behind the first chunk is an event.
import { done, event, FakeServer, json, stream } from './fake-server.ts'

export const SGLANG_WORDS = ['One', ' two', ' three']

export function fakeSglang({
  isGeneration = true,
  breaks = false,
  parser = null as string | null,
} = {}): FakeServer {
  return new FakeServer(({ path, body }, response) => {
    switch (path) {
      case '/v1/models': {
        const card = { id: 'qwen', object: 'model', created: 1, owned_by: 'sglang', root: 'qwen' }
        json(response, { object: 'list', data: [{ ...card, max_model_len: 32768 }] })
        return
      }
      case '/model_info':
        json(response, {
          model_path: 'qwen',
          is_generation: isGeneration,
          has_image_understanding: false,
        })
        return
      case '/server_info':
        json(response, { tool_call_parser: parser, grammar_backend: 'xgrammar' })
        return
      case '/v1/embeddings': {
        const inputs = body.input as string[]
        const data = inputs.map((_, index) => ({
          object: 'embedding',
          index,
          embedding: [0, 2, 0],
        }))
        json(response, { object: 'list', data, usage: { prompt_tokens: 2 * inputs.length } })
        return
      }
      case '/v1/chat/completions': {
        stream(response)
        const usage = (completion_tokens: number) => ({ prompt_tokens: 12, completion_tokens })
        const chunk = (delta: object, at: number, finish_reason: string | null = null) => ({
          ...{ id: '1', object: 'chat.completion.chunk', usage: usage(at) },
          choices: [{ index: 0, delta, logprobs: null, finish_reason, matched_stop: null }],
        })
        event(response, chunk({ role: 'assistant', content: '' }, 0))
        for (const [at, word] of SGLANG_WORDS.entries()) {
          event(response, chunk({ role: null, content: word, reasoning_content: null }, at + 1))
          if (!breaks) continue
          event(response, { error: { message: 'CUDA out of memory at 10.0.0.7', code: 500 } })
          done(response)
          return
        }
        event(response, chunk({ role: null, content: null }, 3, 'stop'))
        event(response, { id: '1', choices: [], usage: usage(3) })
        done(response)
        return
      }
      default:
        json(response, { detail: 'Not Found' }, 404)
    }
  })
}
