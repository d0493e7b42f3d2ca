// Written from LM Studio's documentation of its REST API v0 and of its OpenAI compatibility. What it does not know
// it answers with 200 and an error. `capabilities`: its API changelog, 0.3.16; `tool_choice`: 0.3.15, words
// alone. A thinking model sends `reasoning_content`. No log-probabilities.
import { done, event, FakeServer, json, stream } from './fake-server.ts'

const models = [
  {
    ...{ id: 'qwen3-4b', object: 'model', type: 'llm', publisher: 'qwen', arch: 'qwen3' },
    ...{ compatibility_type: 'gguf', quantization: '4bit', state: 'loaded' },
    ...{ max_context_length: 32768, loaded_context_length: 6144 },
    capabilities: ['tool_use'],
  },
  {
    ...{ id: 'text-embedding-nomic-embed-text-v1.5', object: 'model', type: 'embeddings' },
    ...{ arch: 'nomic-bert', quantization: 'Q4_0', state: 'not-loaded', max_context_length: 2048 },
  },
]

export function fakeLmStudio(): FakeServer {
  return new FakeServer(({ path, body, method }, response) => {
    switch (path) {
      case '/v1/models': {
        const data = models.map(({ id }) => ({
          id,
          object: 'model',
          owned_by: 'organization_owner',
        }))
        json(response, { object: 'list', data })
        return
      }
      case '/api/v0/models':
        json(response, { object: 'list', data: models })
        return
      case '/v1/embeddings': {
        const inputs = body.input as string[]
        const data = inputs.map((_, index) => ({ object: 'embedding', index, embedding: [1, 1] }))
        json(response, { object: 'list', data, usage: { prompt_tokens: 0, total_tokens: 0 } })
        return
      }
      case '/v1/chat/completions': {
        stream(response)
        const chunk = (delta: object, finish_reason: string | null = null) => ({
          ...{ id: 'chatcmpl-1', object: 'chat.completion.chunk' },
          choices: [{ index: 0, delta, logprobs: null, finish_reason }],
        })
        for (const thought of ['Let', ' me', ' see']) {
          event(response, chunk({ role: 'assistant', reasoning_content: thought }))
        }
        event(response, chunk({ role: 'assistant', content: 'Yes' }))
        event(response, chunk({ role: 'assistant', content: '.' }))
        event(response, chunk({}, 'stop'))
        event(response, { choices: [], usage: { prompt_tokens: 9, completion_tokens: 6 } })
        done(response)
        return
      }
      default:
        json(response, { error: `Unexpected endpoint or method. (${method} ${path})` })
    }
  })
}
