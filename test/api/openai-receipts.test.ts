import { request as httpRequest, type IncomingMessage } from 'node:http'
import OpenAI from 'openai'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AnswerReceipt } from '../../src/wire/chunk.ts'
import { rawCid, ryv1Cid } from '../../src/wire/cid.ts'
import { readEvents, startTestApi, type TestApi } from './openai-server.ts'
import { NODE_ID } from './scripted-market.ts'

const digest = new Uint8Array(32).fill(7)
const openCid = ryv1Cid(new Uint8Array(32).fill(6))
const receipt: AnswerReceipt = {
  cid: ryv1Cid(digest),
  multiformatsCid: rawCid(digest),
  status: 'final',
  nodeId: NODE_ID,
  promptNonce: 'ab'.repeat(32),
}
const told = {
  cid: receipt.cid,
  multiformats_cid: receipt.multiformatsCid,
  status: 'final',
  node_id: NODE_ID,
  prompt_nonce: receipt.promptNonce,
}

const chat = { model: 'test-chat', messages: [{ role: 'user' as const, content: 'Hi' }] }
const completion = { model: 'test-chat', prompt: 'Hi' }
const embedding = { model: 'test-embed', input: 'Hi' }
const cases = [
  ['/v1/chat/completions', chat],
  ['/v1/completions', completion],
  ['/v1/embeddings', embedding],
] as const

let api: TestApi

beforeEach(async () => {
  api = await startTestApi()
  api.market.routed = { openCid }
  api.market.receipt = receipt
})

afterEach(() => api.stop())

describe('an answer that is sent as a whole', () => {
  it.each(cases)('names its final receipt in head and body: %s', async (path, body) => {
    const answer = await api.post(path, body)
    expect(answer.headers.get('x-pinaivu-receipt-cid')).toBe(receipt.cid)
    expect(answer.headers.get('x-ryvion-receipt-cid')).toBe(receipt.cid)
    expect(await answer.json()).toMatchObject({
      receipt: told,
      headers: { 'X-Ryvion-Receipt-CID': receipt.cid },
    })
  })

  it('is read by an SDK with them', async () => {
    const client = new OpenAI({ baseURL: api.baseURL, apiKey: api.apiKey })
    const answer = await client.chat.completions.create(chat)
    expect(answer).toHaveProperty(['headers', 'X-Ryvion-Receipt-CID'], receipt.cid)
    expect(answer).toHaveProperty('receipt.prompt_nonce', receipt.promptNonce)
  })

  it('says when the receipt does not cover all of it', async () => {
    api.market.receipt = { ...receipt, status: 'partial' }
    const answer = (await (await api.post('/v1/chat/completions', chat)).json()) as object
    expect(answer).toHaveProperty('receipt.status', 'partial')
  })

  it('has no field for a receipt that there is none of', async () => {
    api.market.receipt = undefined
    api.market.routed = {}
    const answer = await api.post('/v1/chat/completions', chat)
    expect(answer.headers.has('x-ryvion-receipt-cid')).toBe(false)
    const body = (await answer.json()) as { headers: object }
    expect(body).not.toHaveProperty('receipt')
    expect(body.headers).not.toHaveProperty('X-Ryvion-Receipt-CID')
  })
})

describe('a stream', () => {
  it.each([
    ['', {}],
    [' with drafts', { stream_mode: 'v8' }],
  ])('names its open receipt in its head and the final one behind its end%s', async (_, mode) => {
    const { headers, trailers } = await askForTrailers(api, mode)
    expect(headers).toMatchObject({
      'x-pinaivu-receipt-cid': openCid,
      'x-ryvion-receipt-cid': openCid,
    })
    expect(trailers).toMatchObject({
      'x-pinaivu-receipt-cid': receipt.cid,
      'x-ryvion-receipt-cid': receipt.cid,
    })
  })

  it.each([
    ['/v1/chat/completions', { ...chat, n: 2 }],
    ['/v1/completions', completion],
  ])('has the final one in the last finish, and nowhere else: %s', async (path, body) => {
    const streamed = { ...body, stream: true, stream_options: { include_usage: true } }
    const { events } = await readEvents(await api.post(path, streamed))
    const having = events.filter((event) => 'receipt' in event)
    expect(having).toHaveLength(1)
    expect(having[0]).toMatchObject({ receipt: told, choices: [{ finish_reason: 'stop' }] })
    // Only the usage comes behind it.
    expect(events.indexOf(having[0] as (typeof events)[0])).toBe(events.length - 2)
  })
})

describe('an answer that another peer went on with', () => {
  const nodes = [NODE_ID, '12D3KooWRBhwfeP2Y4TCx1SM6s9rUoHhR5STiGwxBhgFRcw3UERE']
  const route = {
    candidates: [],
    excluded: {},
    attempts: nodes.map((node, at) => ({ node, outcome: at === 0 ? 'broken' : 'resumed', ms: 7 })),
    resumed: 1,
  }
  const both = nodes.join(', ')

  beforeEach(() => {
    api.market.resumed = { times: 1, nodes, route }
  })

  it('says so, in its head and beside its receipt', async () => {
    const answer = await api.post('/v1/chat/completions', chat)
    expect(answer.headers.get('x-pinaivu-resumed')).toBe('1')
    expect(JSON.parse(answer.headers.get('x-pinaivu-route') ?? '')).toEqual(route)
    expect(answer.headers.get('x-pinaivu-node-id')).toBe(NODE_ID)
    expect(await answer.json()).toMatchObject({ receipt: { ...told, resumed: 1, nodes } })
  })

  it('says so at the end of a stream', async () => {
    const { events } = await readEvents(
      await api.post('/v1/chat/completions', { ...chat, stream: true }),
    )
    expect(events.at(-1)).toMatchObject({ receipt: { ...told, resumed: 1, nodes } })
    const { headers, trailers } = await askForTrailers(api)
    expect(headers['x-pinaivu-node-id']).toBe(NODE_ID)
    expect(trailers).toMatchObject({
      'x-pinaivu-resumed': '1',
      'x-pinaivu-node-id': both,
      'x-ryvion-node-id': both,
    })
    expect(JSON.parse(trailers['x-pinaivu-route'] ?? '')).toEqual(route)
  })
})

it('a job knows which request it is for, by whatever path that came', async () => {
  const asker = { account: 'acct_1', keyId: 'key_1' }
  const ids: (string | null)[] = []
  for (const [path, body] of [...cases, ['/chat/completions', chat] as const]) {
    ids.push((await api.post(path, body)).headers.get('x-request-id'))
  }
  expect(api.engine.jobs.map(({ origin }) => origin)).toEqual([
    { requestId: ids[0], ...asker, endpoint: '/v1/chat/completions' },
    { requestId: ids[1], ...asker, endpoint: '/v1/completions' },
    { requestId: ids[2], ...asker, endpoint: '/v1/embeddings' },
    { requestId: ids[3], ...asker, endpoint: '/v1/chat/completions' },
  ])
})

/** With all that Node's own client sees. */
async function askForTrailers({ origin, apiKey }: TestApi, more: object = {}) {
  const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' }
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    httpRequest(`${origin}/v1/chat/completions`, { method: 'POST', headers }, resolve)
      .once('error', reject)
      .end(JSON.stringify({ ...chat, stream: true, ...more }))
  })
  answer.resume()
  await new Promise((resolve) => answer.once('end', resolve))
  return { headers: answer.headers, trailers: answer.trailers }
}
