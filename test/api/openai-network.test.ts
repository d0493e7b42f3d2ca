import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect as connectHttp2, constants } from 'node:http2'
import { connect } from 'node:net'
import * as fc from 'fast-check'
import OpenAI from 'openai'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { routeHeader } from '../../src/api/work-headers.ts'
import { PeerError } from '../../src/base/errors.ts'
import type { Route, Routed } from '../../src/wire/chunk.ts'
import { certPem, keyPem } from './certificate.ts'
import { readEvents, startTestApi, type TestApi } from './openai-server.ts'
import { NODE_ID } from './scripted-market.ts'

let api: TestApi

beforeEach(async () => {
  api = await startTestApi()
})

afterEach(() => api.stop())

const chat = { model: 'test-chat', messages: [{ role: 'user' as const, content: 'Hi' }] }
const path = '/v1/chat/completions'

const far: Partial<Routed> = {
  node: { id: NODE_ID, gpu: 'AMD RX 7900 XTX', country: 'DE' },
  model: { name: 'phi-4', id: 'cid:bafkrei' },
}

/** What an answer says of the work, under one prefix. */
const work = (headers: Headers, prefix: string) =>
  Object.fromEntries(
    [...headers]
      .filter(([name]) => name.startsWith(prefix))
      .map(([n, v]) => [n.slice(prefix.length), v]),
  )

describe('the headers of an answer', () => {
  it('say who did the work, on what, where, and how it was found', async () => {
    api.market.routed = far
    const { headers } = await api.post(path, chat)
    const told = {
      'node-id': NODE_ID,
      'node-gpu': 'AMD RX 7900 XTX',
      'node-country': 'DE',
      model: 'phi-4',
      'tokens-input': '5',
      'tokens-output': '8',
    }
    expect(work(headers, 'x-ryvion-')).toEqual(told)
    const { route, ...ours } = work(headers, 'x-pinaivu-')
    expect(ours).toEqual(told)
    expect(JSON.parse(route ?? '')).toEqual({
      candidates: [{ node: NODE_ID, score: 1, reasons: ['self'] }],
      excluded: {},
      attempts: [{ node: NODE_ID, outcome: 'ok', ms: 2 }],
    })
  })

  it('say cpu and unknown where nothing was declared', async () => {
    const { headers } = await api.post('/v1/embeddings', { model: 'test-embed', input: 'Hi' })
    expect(work(headers, 'x-ryvion-')).toEqual({
      'node-id': NODE_ID,
      'node-gpu': 'cpu',
      'node-country': 'unknown',
      model: 'test-embed',
      'tokens-input': '1',
      'tokens-output': '0',
    })
  })

  it('are in the body too, for users of an SDK', async () => {
    api.market.routed = far
    const client = new OpenAI({ baseURL: api.baseURL, apiKey: api.apiKey })
    const answers = await Promise.all([
      client.chat.completions.create(chat),
      client.completions.create({ model: 'test-chat', prompt: 'Hi' }),
      client.embeddings.create({ model: 'test-embed', input: 'Hi' }),
    ])
    for (const answer of answers) {
      expect(answer).toMatchObject({
        headers: { 'X-Ryvion-Node-ID': NODE_ID, 'X-Ryvion-Node-GPU': 'AMD RX 7900 XTX' },
      })
    }
    expect(answers[0]).toHaveProperty(['headers', 'X-Ryvion-Tokens-Output'], '8')
  })

  it('may be read by a page', async () => {
    const headers = { origin: 'http://localhost:5173' }
    const answer = await fetch(`${api.origin}/healthz`, { headers })
    const exposed = answer.headers.get('access-control-expose-headers')?.toLowerCase().split(', ')
    const { headers: ours } = await api.post(path, chat)
    for (const [name] of ours) {
      if (/^x-(pinaivu|ryvion)-/.test(name)) expect(exposed).toContain(name)
    }
  })

  it('are no place for a peer to write its own', async () => {
    const evil = 'x\r\nSet-Cookie: a=b\r\n\r\n<script>\u2028é\0'
    api.market.routed = {
      node: { id: evil, gpu: ` ${'g'.repeat(5000)}`, country: '\r\n' },
      model: { name: evil },
      route: {
        candidates: [{ node: evil, score: 1, reasons: [evil] }],
        excluded: { [evil]: 1 },
        attempts: [],
      },
    }
    for (const stream of [false, true]) {
      const answer = await api.post(path, { ...chat, stream })
      expect(answer.status).toBe(200)
      expect(answer.headers.get('set-cookie')).toBeNull()
      expect(answer.headers.get('x-pinaivu-node-id')).toBe('x??Set-Cookie: a=b????<script>???')
      expect(answer.headers.get('x-ryvion-node-gpu')).toBe('g'.repeat(255))
      expect(answer.headers.get('x-ryvion-node-country')).toBe('??')
      const route = JSON.parse(answer.headers.get('x-pinaivu-route') ?? '') as Route
      expect(route.candidates[0]?.node).toBe(evil)
      expect(await answer.text()).not.toMatch(/^Set-Cookie/m)
    }
  })
})

const texts = fc.string({ unit: 'binary', maxLength: 400 })
const routes: fc.Arbitrary<Route> = fc.record({
  candidates: fc.array(fc.record({ node: texts, score: fc.double(), reasons: fc.array(texts) })),
  excluded: fc.dictionary(texts, fc.nat()),
  attempts: fc.array(fc.record({ node: texts, outcome: texts, ms: fc.double() })),
})

describe('the route header', () => {
  it('is bounded plain ASCII and JSON, whatever it is made of', () => {
    fc.assert(
      fc.property(routes, (route) => {
        const text = routeHeader(route)
        expect(text).toMatch(/^[\x20-\x7e]{2,2048}$/)
        expect(JSON.parse(text)).toHaveProperty('attempts')
      }),
    )
  })

  it('keeps the best candidates and the last attempts', () => {
    const numbers = [...Array(30).keys()]
    const route: Route = {
      candidates: numbers.map((at) => ({
        node: `${NODE_ID}${at}`,
        score: 1 / 3,
        reasons: ['near'],
      })),
      excluded: { 'too dear': 3 },
      attempts: numbers.map((at) => ({ node: `${NODE_ID}${at}`, outcome: 'overloaded', ms: 1.2 })),
    }
    const shown = JSON.parse(routeHeader(route)) as Route
    expect(shown.candidates[0]).toEqual({ node: `${NODE_ID}0`, score: 0.333, reasons: ['near'] })
    expect(shown.attempts.at(-1)).toEqual({ node: `${NODE_ID}29`, outcome: 'overloaded', ms: 1 })
    expect(shown.excluded).toEqual({ 'too dear': 3 })
  })

  it('is on an error too, once somebody was asked', async () => {
    const route: Route = { candidates: [], excluded: { region: 2 }, attempts: [] }
    api.engine.script = () => {
      throw Object.assign(new PeerError('no_nodes_available', 'All are busy.'), { route })
    }
    const answer = await api.post(path, chat)
    expect(answer.status).toBe(503)
    expect(JSON.parse(answer.headers.get('x-pinaivu-route') ?? '')).toEqual(route)
    api.engine.script = () => {
      throw new PeerError('no_nodes_available', 'Nobody is there.')
    }
    expect((await api.post(path, chat)).headers.has('x-pinaivu-route')).toBe(false)
  })
})

describe('a stream', () => {
  it('tells in its first event who makes it', async () => {
    api.market.routed = far
    for (const [at, body] of [
      [path, chat],
      ['/v1/completions', { model: 'test-chat', prompt: 'Hi' }],
    ] as const) {
      const { events } = await readEvents(await api.post(at, { ...body, stream: true }))
      const node = { id: NODE_ID, gpu: 'AMD RX 7900 XTX', country: 'DE' }
      expect(events[0]).toMatchObject({ node })
      expect(events.slice(1).some((event) => 'node' in event)).toBe(false)
    }
    api.market.routed = {}
    const { events } = await readEvents(await api.post(path, { ...chat, stream: true }))
    expect(events[0]).toMatchObject({ node: { id: NODE_ID, gpu: null, country: null } })
  })

  it('counts what it wrote after its end: in trailers, over HTTP/1.1', async () => {
    const { headers, trailers, text } = await ask11(api)
    expect(headers).toMatchObject({
      trailer:
        'X-Pinaivu-Tokens-Output, X-Ryvion-Tokens-Output, ' +
        'X-Pinaivu-Receipt-CID, X-Ryvion-Receipt-CID, X-Pinaivu-Resumed, X-Pinaivu-Route, ' +
        'X-Pinaivu-Node-ID, X-Ryvion-Node-ID, X-Pinaivu-Tokens-Input, X-Ryvion-Tokens-Input',
      'x-pinaivu-tokens-input': '5',
      'x-ryvion-node-id': NODE_ID,
    })
    expect(headers).not.toHaveProperty('x-ryvion-tokens-output')
    expect(text).toMatch(/\[DONE\]\n\n$/)
    expect(trailers).toEqual({
      'x-pinaivu-tokens-output': '8',
      'x-ryvion-tokens-output': '8',
      'x-pinaivu-tokens-input': '5',
      'x-ryvion-tokens-input': '5',
    })
  })

  it('says how long a prompt was that was counted at the end alone', async () => {
    api.engine.script = async function* () {
      yield { type: 'accepted', inputTokens: 0 }
      yield { type: 'tokens', choice: 0, index: 0, ids: [0], text: 'So.' }
      const usage = { inputTokens: 9, cachedTokens: 0, outputTokens: 1 }
      yield { type: 'done', finish: ['stop'], usage }
    }
    const { headers, trailers } = await ask11(api)
    expect(headers).not.toHaveProperty('x-pinaivu-tokens-input')
    expect(trailers).toMatchObject({ 'x-pinaivu-tokens-input': '9' })
    const whole = await api.post(path, chat)
    expect(whole.headers.get('x-pinaivu-tokens-input')).toBe('9')
    expect((await whole.json()).headers['X-Ryvion-Tokens-Input']).toBe('9')
  })

  it('brings no trailer when it was cut', async () => {
    api.engine.script = async function* () {
      yield { type: 'tokens', choice: 0, index: 0, ids: [1], text: 'a' }
      throw new PeerError('engine_failed', 'Gone.')
    }
    expect((await ask11(api)).trailers).toEqual({})
  })

  it('is whole over HTTP/1.0, which knows no trailers', async () => {
    const text = await ask10(api)
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(text).not.toMatch(/^trailer:/im)
    expect(text).toMatch(/\[DONE\]\n\n$/)
  })

  it('brings trailers over HTTP/2', async () => {
    const secure = await startTestApi({ tls: { certPem, keyPem } })
    const client = connectHttp2(secure.origin, { ca: certPem })
    const stream = client.request({
      [constants.HTTP2_HEADER_METHOD]: 'POST',
      [constants.HTTP2_HEADER_PATH]: path,
      authorization: `Bearer ${secure.apiKey}`,
      'content-type': 'application/json',
    })
    const trailers = new Promise((resolve) => stream.once('trailers', resolve))
    stream.end(JSON.stringify({ ...chat, stream: true }))
    stream.resume()
    expect(await trailers).toMatchObject({
      'x-pinaivu-tokens-output': '8',
      'x-ryvion-tokens-output': '8',
    })
    client.destroy()
    await secure.stop()
  })
})

describe('what a request wishes for', () => {
  it.each([
    [{ jurisdiction: 'de' }, { jurisdiction: 'DE' }],
    [{ jurisdiction: 'eu' }, { jurisdiction: 'EU' }],
    [{ max_price: 40 }, { maxPrice: { input: 40, output: 40 } }],
    [{ max_price: 0 }, { maxPrice: { input: 0, output: 0 } }],
    [{ max_price: { input: 1, output: 2 } }, { maxPrice: { input: 1, output: 2 } }],
    [{ node: { only: [NODE_ID], not: [] } }, { only: [NODE_ID], not: [] }],
    [{ receipt_privacy: 'salted' }, { receiptPrivacy: 'salted' }],
    [{ receipt_privacy: 'plain' }, undefined],
    [{ jurisdiction: null, max_price: null, node: null, receipt_privacy: null }, undefined],
    [{}, undefined],
  ])('%j', async (asked, wishes) => {
    await api.post(path, { ...chat, ...asked })
    await api.post('/v1/completions', { model: 'test-chat', prompt: 'Hi', ...asked })
    await api.post('/v1/embeddings', { model: 'test-embed', input: 'Hi', ...asked })
    expect(api.engine.jobs.map((job) => job.wishes)).toEqual([wishes, wishes, wishes])
  })
})

it.each([
  [{ drafters: [NODE_ID] }, [NODE_ID]],
  [{ drafters: [] }, undefined],
  [{ drafters: null }, undefined],
  [{}, undefined],
])('who may draft for it: %j', async (asked, drafters) => {
  await api.post(path, { ...chat, ...asked })
  await api.post('/v1/completions', { model: 'test-chat', prompt: 'Hi', ...asked })
  expect(api.engine.jobs.map((job) => job.drafters)).toEqual([drafters, drafters])
})

it('the fingerprint of a model that another peer has is told by its id', async () => {
  const model = {
    name: 'phi-4',
    id: 'cid:bafkrei',
    kind: 'chat' as const,
    contextLength: 8192,
    embeddingLength: undefined,
    created: 1,
    local: undefined,
    nodes: 1,
    price: undefined,
  }
  api.market.remote.push(model)
  api.market.routed = far
  const ask = async () =>
    (await (await api.post(path, { ...chat, model: 'phi-4' })).json()) as Record<string, unknown>
  const first = await ask()
  expect(first.system_fingerprint).toMatch(/^fp_[0-9a-f]{10}$/)
  expect((await ask()).system_fingerprint).toBe(first.system_fingerprint)
  api.market.routed = { model: { name: 'phi-4', id: 'cid:other' } }
  expect((await ask()).system_fingerprint).not.toBe(first.system_fingerprint)
})

const body = JSON.stringify({ ...chat, stream: true })

/** With all that Node's own client sees. */
async function ask11({ origin, apiKey }: TestApi) {
  const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' }
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    httpRequest(`${origin}${path}`, { method: 'POST', headers }, resolve)
      .once('error', reject)
      .end(body)
  })
  let text = ''
  for await (const part of answer) text += part
  return { headers: answer.headers, trailers: answer.trailers, text }
}

async function ask10({ origin, apiKey }: TestApi): Promise<string> {
  const { port, hostname } = new URL(origin)
  const socket = connect(Number(port), hostname)
  socket.write(
    `POST ${path} HTTP/1.0\r\nHost: ${hostname}\r\nAuthorization: Bearer ${apiKey}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
  let text = ''
  for await (const part of socket) text += part
  return text
}
