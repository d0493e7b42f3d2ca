import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { askStream } from '../../../testnet/scenario/answer.ts'
import { stubServer } from './stub-server.ts'

const { signal } = new AbortController()
const path = '/v1/chat/completions'
const PAUSE_MS = 60

const chunk = (content: string, more: object = {}, choice: object = {}) =>
  `data: ${JSON.stringify({ choices: [{ delta: { content }, ...choice }], ...more })}\n\n`

const ending = [
  chunk(
    '',
    { receipt: { cid: 'ryv1:x', resumed: 1, nodes: ['a', 'b'] } },
    { finish_reason: 'stop' },
  ),
  `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 5, completion_tokens: 3 } })}\n\n`,
  'data: [DONE]\n\n',
]

describe('what a client sees of a stream', () => {
  it('is its text, its longest pause, and who made it', async () => {
    const scored = { logprobs: { content: [{ bytes: [104] }, { bytes: [105] }] } }
    const peer = await stubServer({
      [path]: async (response) => {
        response.writeHead(200, { 'x-request-id': 'req_1', trailer: 'x-pinaivu-route' })
        const text = chunk('hi', { node: { id: 'a' } }, scored)
        // A line may come in pieces.
        response.write(text.slice(0, 20))
        await sleep(5)
        response.write(text.slice(20))
        await sleep(PAUSE_MS)
        response.write(chunk(' there'))
        for (const each of ending) response.write(each)
        const attempts = [
          { outcome: 'ok', ms: 9 },
          { outcome: 'resumed', ms: 42 },
        ]
        response.addTrailers({ 'x-pinaivu-route': JSON.stringify({ attempts }) })
        response.end()
      },
    })
    const seen: string[] = []
    const answer = await askStream(peer, {}, { signal, onText: ({ text }) => void seen.push(text) })
    expect(answer).toMatchObject({
      ...{ status: 200, requestId: 'req_1', text: 'hi there', finish: 'stop', error: undefined },
      ...{ nodes: ['a', 'b'], resumed: 1, receipt: 'ryv1:x', takeoverMs: 42 },
      ...{ inputTokens: 5, outputTokens: 3, scored: [[104], [105]] },
    })
    expect(seen).toEqual(['hi', 'hi there'])
    expect(answer.stall.behind).toBe(2)
    expect(answer.stall.ms).toBeGreaterThan(PAUSE_MS / 2)
  })

  it('is an error where it breaks, ends too early, or never began', async () => {
    const head = chunk('hi', { node: { id: 'a' } })
    const error = { error: { code: 'overloaded', message: 'Later.' } }
    const cut = async (end: (response: import('node:http').ServerResponse) => void) => {
      const peer = await stubServer({ [path]: end })
      return (await askStream(peer, {}, { signal })).error
    }
    expect(await cut((response) => response.end(head))).toBe('the stream ended too early')
    expect(
      await cut((response) => response.write(head, () => setImmediate(() => response.destroy()))),
    ).toBe('aborted')
    expect(await cut((response) => response.end(`data: ${JSON.stringify(error)}\n\n`))).toBe(
      'overloaded: Later.',
    )
    expect(await cut((response) => response.writeHead(503).end(JSON.stringify(error)))).toBe(
      'overloaded: Later.',
    )
  })
})
