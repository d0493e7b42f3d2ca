/** An OpenAI-compatible server that has nothing to compute: each token says when it left. */
import { createServer } from 'node:http'
import { serve } from '../gateway/serve.ts'
import { MODEL, now, PACE_MS, TOKENS } from './upstream-terms.ts'

const chunk = (choices: object[], more: object = {}) =>
  `data: ${JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: MODEL, choices, ...more })}\n\n`

const token = () => chunk([{ index: 0, delta: { content: `${now()} ` }, finish_reason: null }])

const end = [
  chunk([{ index: 0, delta: {}, finish_reason: 'length' }]),
  chunk([], { usage: { prompt_tokens: 8, completion_tokens: TOKENS, total_tokens: 8 + TOKENS } }),
  'data: [DONE]\n\n',
].join('')

const server = createServer({ noDelay: true }, (request, response) => {
  request.resume()
  request.on('end', () => {
    if (request.url === '/v1/models') {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ object: 'list', data: [{ id: MODEL, object: 'model' }] }))
      return
    }
    if (request.url !== '/v1/chat/completions') {
      response.writeHead(404).end()
      return
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    let sent = 0
    const next = () => {
      response.write(token())
      if (++sent < TOKENS) setTimeout(next, PACE_MS)
      else response.end(end)
    }
    next()
  })
})

server.keepAliveTimeout = 0
await serve(server)
