import type { ServerResponse } from 'node:http'
import { type Answer, type Asked, json, peerState } from './stage.ts'

export const chatPath = 'POST /v1/chat/completions'

export function chunk(content: string, finish: string | null = null): string {
  const choices = [{ index: 0, delta: { content }, finish_reason: finish }]
  return `data: ${JSON.stringify({ request_id: 'req_1', choices })}\n\n`
}

export const end = `data: ${JSON.stringify({ choices: [], usage: { total_tokens: 9 } })}\n\ndata: [DONE]\n\n`

export function head(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.write(': ping\n\n')
}

/** Answers with the number of messages it was sent, in two pieces. */
export const counting: Answer = ({ body }, response) => {
  head(response)
  const { length } = (body as { messages: unknown[] }).messages
  response.end(chunk('I was sent ') + chunk(`${length} messages.`, 'stop') + end)
}

export const ready = { 'GET /readyz': json(peerState) }

export const messagesOf = (asked: Asked | undefined) =>
  (asked?.body as { messages: unknown } | undefined)?.messages
