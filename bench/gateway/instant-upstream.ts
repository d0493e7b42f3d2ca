/** What the bare proxy forwards to: reads the request away and answers at once. */
import { createServer } from 'node:http'
import { streamedAnswer, wholeAnswer } from './answers.ts'
import { serve } from './serve.ts'

const server = createServer((request, response) => {
  let stream = false
  request.on('data', (part: Buffer) => {
    stream ||= part.includes('"stream":true')
  })
  request.on('end', () => {
    if (stream) {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      for (const event of streamedAnswer) response.write(event)
      response.end()
    } else {
      const headers = {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(wholeAnswer),
      }
      response.writeHead(200, headers)
      response.end(wholeAnswer)
    }
  })
})

// The proxy keeps its connections while the others have their turns; one that ends just then fails a request.
server.keepAliveTimeout = 0
await serve(server)
