// Written from Ollama's published source (MIT) and API documentation: `ListCompletion`, `ChatCompletionChunk`,
// `CompletionRequest` and `EmbeddingList` of openai/openai.go, `ToolCall` (whole, in one delta), `/api/version`,
// `/api/show` and `/api/ps` of
// docs/api.md. Its chunks repeat the role; the usage comes in a chunk of its own at the end. It knows neither
// logit_bias nor n nor tool_choice, and takes one prompt, no list.
import { done, event, FakeServer, json, stream } from './fake-server.ts'

export const OLLAMA_WORDS = ['Peers', ' answer', '.']

const usage = { prompt_tokens: 26, completion_tokens: 4, total_tokens: 30 }

const shown: Record<string, object> = {
  'llama3.2:1b': {
    parameters: 'stop  "<|eot_id|>"\nnum_ctx                        8192',
    details: { family: 'llama', parameter_size: '1.2B', quantization_level: 'Q8_0' },
    model_info: {
      'general.architecture': 'llama',
      'general.parameter_count': 1235814432,
      'llama.context_length': 131072,
    },
    capabilities: ['completion', 'tools'],
  },
  'all-minilm:latest': {
    details: { family: 'bert', quantization_level: 'F16' },
    model_info: { 'general.architecture': 'bert', 'bert.context_length': 512 },
    capabilities: ['embedding'],
  },
}

export function fakeOllama(): FakeServer {
  return new FakeServer(({ path, body }, response) => {
    switch (path) {
      case '/v1/models':
        json(response, { object: 'list', data: Object.keys(shown).map(card) })
        return
      case '/api/version':
        json(response, { version: '0.12.11' })
        return
      case '/api/ps':
        json(response, { models: [] })
        return
      case '/api/show':
        json(response, shown[String(body.model)] ?? { error: 'not found' })
        return
      case '/v1/embeddings': {
        const data = (body.input as string[]).map((text, index) => ({
          ...{ object: 'embedding', index },
          embedding: [text.length, 3, 0, 4],
        }))
        json(response, { object: 'list', data, model: body.model, usage: { prompt_tokens: 5 } })
        return
      }
      case '/v1/chat/completions':
      case '/v1/completions': {
        stream(response)
        const isChat = path === '/v1/chat/completions'
        const chunk = (text: string, finish_reason: string | null) => ({
          id: 'chatcmpl-1',
          choices: [
            {
              index: 0,
              ...(isChat ? { delta: { role: 'assistant', content: text } } : { text }),
              finish_reason,
            },
          ],
        })
        const tools = isChat && Array.isArray(body.tools) ? body.tools : []
        if (tools.length > 0) {
          // It reads a call once that is whole.
          const call = { name: 'look_up', arguments: '{"of":"peers"}' }
          const calls = [{ id: 'call_x1', index: 0, type: 'function', function: call }]
          const delta = { role: 'assistant', content: '', tool_calls: calls }
          event(response, { id: 'chatcmpl-1', choices: [{ index: 0, delta, finish_reason: null }] })
        }
        for (const word of tools.length > 0 ? [] : OLLAMA_WORDS) event(response, chunk(word, null))
        event(response, chunk('', tools.length > 0 ? 'tool_calls' : 'stop'))
        event(response, { id: 'chatcmpl-1', choices: [], usage })
        done(response)
        return
      }
      default:
        response.writeHead(404).end('404 page not found')
    }
  })
}

const card = (id: string) => ({ id, object: 'model', created: 1, owned_by: 'library' })
