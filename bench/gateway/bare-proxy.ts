/**
 * The baseline: what a gateway cannot do without, in plain Node. It reads a JSON body, parses and
 * checks it, and hands it on to an upstream over kept connections, or answers itself when no
 * upstream is given. No keys, no limits but one, no metrics, no ids. `--proofs`, behind the upstream:
 * each answer waits for as many signatures and as much of the disk as one of a peer.
 */
import {
  Agent,
  createServer,
  type IncomingMessage,
  request as requestUpstream,
  type ServerResponse,
} from 'node:http'
import { streamedAnswer, wholeAnswer } from './answers.ts'
import { Proofs } from './proofs.ts'
import { serve } from './serve.ts'

const BODY_BYTES_MAX = 1024 * 1024
const [, , upstream, mode] = process.argv
const proofs = mode === '--proofs' ? await Proofs.open() : undefined
const agent = new Agent({ keepAlive: true })

const server = createServer((request, response) => {
  if (request.method !== 'POST' || request.url !== '/v1/chat/completions') {
    refuse(response, 404, 'unknown url')
    return
  }
  const parts: Buffer[] = []
  let size = 0
  request.on('data', (part: Buffer) => {
    size += part.length
    if (size > BODY_BYTES_MAX) request.destroy()
    parts.push(part)
  })
  request.on('end', () => {
    const bytes = Buffer.concat(parts)
    const body = parse(bytes)
    if (body === undefined) refuse(response, 400, 'the body is not a chat request')
    else if (upstream === undefined) answer(body, response)
    else forward(bytes, response, upstream)
  })
})

interface ChatRequest {
  model: string
  messages: { role: string; content: string }[]
  stream?: boolean
}

function parse(bytes: Buffer): ChatRequest | undefined {
  try {
    const body: Partial<ChatRequest> = JSON.parse(bytes.toString())
    const { model, messages } = body
    if (typeof model !== 'string' || !Array.isArray(messages)) return undefined
    for (const message of messages) {
      if (typeof message.role !== 'string' || typeof message.content !== 'string') return undefined
    }
    return { ...body, model, messages }
  } catch {
    return undefined
  }
}

function forward(body: Buffer, response: ServerResponse, url: string): void {
  const options = {
    method: 'POST',
    agent,
    headers: { 'content-type': 'application/json', 'content-length': body.length },
  }
  const onAnswer = async (answer: IncomingMessage) => {
    await proofs?.prove()
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    answer.pipe(response)
  }
  requestUpstream(`${url}/v1/chat/completions`, options, onAnswer)
    .once('error', () => refuse(response, 502, 'the upstream failed'))
    .end(body)
}

function answer({ stream }: ChatRequest, response: ServerResponse): void {
  if (stream === true) {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const event of streamedAnswer) response.write(event)
    response.end()
  } else {
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(wholeAnswer),
    })
    response.end(wholeAnswer)
  }
}

function refuse(response: ServerResponse, status: number, message: string): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ error: { message } }))
}

await serve(server)
