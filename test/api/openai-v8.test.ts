import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2'
import { Ajv2020 } from 'ajv/dist/2020.js'
import OpenAI from 'openai'
import { afterEach, describe, expect, it } from 'vitest'
import { BusyError } from '../../src/base/errors.ts'
import { ghost } from '../../src/sdk/index.ts'
import type { AnswerReceipt } from '../../src/wire/chunk.ts'
import { rawCid, ryv1Cid } from '../../src/wire/cid.ts'
import { receiptDigest } from '../../src/wire/receipt.ts'
import { reduceV8, v8Start } from '../../src/wire/v8-stream.ts'
import { certPem, keyPem } from './certificate.ts'
import { readEvents, startTestApi, type TestApi, type TestApiOptions } from './openai-server.ts'
import { ANSWER_TEXT, type Script, silence, talk } from './scripted-engine.ts'
import { NODE_ID } from './scripted-market.ts'
import { bare, done, draft, readV8, rollback, said, segment, tokens } from './v8-script.ts'

const running: TestApi[] = []

async function start(script: Script = talk, options: TestApiOptions = {}): Promise<TestApi> {
  const api = await startTestApi(options)
  api.engine.script = script
  running.push(api)
  return api
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((api) => api.stop()))
})

const path = '/v1/chat/completions'
const v8 = { stream: true, stream_mode: 'v8' as const }
const chat = { model: 'test-chat', messages: [{ role: 'user' as const, content: 'Hi' }] }
const cases = [
  [path, chat],
  ['/v1/completions', { model: 'test-chat', prompt: 'Hi', max_tokens: 99 }],
] as const

const OTHER_NODE = '12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X'

const digest = new Uint8Array(32).fill(7)
const openCid = ryv1Cid(new Uint8Array(32).fill(6))
const receipt: AnswerReceipt = {
  cid: ryv1Cid(digest),
  multiformatsCid: rawCid(digest),
  status: 'final',
  nodeId: NODE_ID,
  promptNonce: 'ab'.repeat(32),
}

describe('the answer of an engine that guesses nothing', () => {
  it.each(cases)('is a stream of commits: %s', async (where, body) => {
    const api = await start()
    const views = []
    for await (const view of ghost(await api.post(where, { ...body, ...v8 }))) views.push(view)
    expect(views.every((view) => view.ghost === '')).toBe(true)
    expect(views.at(-1)).toMatchObject({
      committed: ANSWER_TEXT,
      isDone: true,
      opened: { model: 'test-chat', node: { id: NODE_ID, gpu: null, country: null } },
      tokens: { committed: 8, accepted: 0, rolledBack: 0 },
    })
    const kinds = views.map(({ event }) => event.event)
    expect(kinds).toEqual(['stream.open', ...Array(8).fill('token.commit'), 'token.finalize'])
  })

  it('has the text of the stream without drafts, and the score of each token', async () => {
    const api = await start()
    const { events } = await readV8(await api.post(path, { ...chat, ...v8 }))
    const plain = await readEvents(await api.post(path, { ...chat, stream: true }))
    const pieces = plain.events.flatMap((event) => event.choices as { delta: object }[])
    const text = pieces.map(({ delta }) => ('content' in delta ? delta.content : '')).join('')
    const commits = events.filter((event) => event.event === 'token.commit')
    expect(commits.map((event) => event.text).join('')).toBe(text)
    expect(commits.map(({ logprob }) => logprob)).toEqual(Array(8).fill(-0.25))
    const [watched, unwatched] = api.engine.jobs
    expect(watched).toMatchObject({ watched: true, work: { sampling: { logprobs: 0 } } })
    expect(unwatched).not.toHaveProperty('watched')
    expect(unwatched).not.toHaveProperty('work.sampling.logprobs')
  })

  it('names its receipts in head and events, as other streams do', async () => {
    const api = await start()
    api.market.routed = { openCid, node: { id: NODE_ID, gpu: 'RTX 4090', country: 'DE' } }
    api.market.receipt = receipt
    const answer = await api.post(path, { ...chat, ...v8 })
    const { named, events, isWhole } = await readV8(answer)
    expect(answer.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    expect(answer.headers.get('x-ryvion-receipt-cid')).toBe(openCid)
    expect(answer.headers.get('x-pinaivu-node-id')).toBe(NODE_ID)
    expect(answer.headers.get('trailer')).toContain('X-Pinaivu-Receipt-CID')
    expect(named.map(([name, id]) => `${name} ${id}`)).toEqual(
      events.map(({ event }, seq) => `event: ${event} id: ${seq}`),
    )
    const ids = new Set(events.map((event) => event.request_id))
    expect([...ids]).toEqual([answer.headers.get('x-request-id')])
    const [opened, ended] = [events.at(0), events.at(-1)]
    expect(opened).toEqual({
      event: 'stream.open',
      request_id: answer.headers.get('x-request-id'),
      job_id: api.engine.jobs[0]?.id,
      model: 'test-chat',
      node: { id: NODE_ID, gpu: 'RTX 4090', country: 'DE' },
      open_cid: openCid,
    })
    expect(ended).toEqual({
      event: 'token.finalize',
      request_id: answer.headers.get('x-request-id'),
      final_cid: receipt.cid,
      tokens_committed: 8,
      tokens_rolled_back: 0,
      finish_reason: 'stop',
      usage: { prompt_tokens: 5, completion_tokens: 8, total_tokens: 13 },
      receipt: {
        cid: receipt.cid,
        multiformats_cid: receipt.multiformatsCid,
        status: 'final',
        node_id: NODE_ID,
        prompt_nonce: receipt.promptNonce,
      },
    })
    expect(isWhole).toBe(true)
  })

  it('is also that of a request with what changes nothing', async () => {
    const api = await start()
    const idle = { n: 1, tools: [], response_format: { type: 'text' }, logprobs: true }
    const usage = { stream_options: { include_usage: true } }
    const { isWhole } = await readV8(await api.post(path, { ...chat, ...v8, ...idle, ...usage }))
    expect(isWhole).toBe(true)
    const one = await readV8(await api.post(path, { ...chat, ...v8, max_tokens: 2 }))
    expect(one.events.at(-1)).toMatchObject({ finish_reason: 'length', tokens_committed: 2 })
  })
})

describe('an engine that guesses', () => {
  const guessing = said(
    // Before anything is committed.
    draft(0, [1], 'Hel'),
    draft(1, [2, 9], 'lo you', OTHER_NODE),
    tokens(0, [1, 2], 'Hello', [-0.5, Number.NEGATIVE_INFINITY]),
    rollback(2, 'token_mismatch'),
    tokens(2, [3], ' there'),
    draft(3, [4], '!'),
    draft(3, [5], '?'),
    tokens(3, [5], '?'),
    draft(4, [6], ' END'),
    done(4),
  )

  it('is watched: what is drafted, and what becomes of it', async () => {
    const api = await start(guessing)
    const { events } = await readV8(await api.post(path, { ...chat, ...v8 }))
    const timed = events.filter((event) => event.event === 'token.provisional')
    for (const { ts_ms: ms } of timed) expect(ms).toBeLessThan(10_000)
    const ts_ms = expect.any(Number)
    const [, ...rest] = bare(events).slice(0, -1)
    const shown = (id: number, text: string, draft_node = NODE_ID) => ({
      ...{ event: 'token.provisional', id, text, draft_node, ts_ms },
    })
    const commit = (id: number, text: string, logprob: number | null = null) => ({
      ...{ event: 'token.commit', id, text, logprob },
    })
    const gone = (from_id: number, reason: string) => ({ event: 'token.rollback', from_id, reason })
    expect(rest).toEqual([
      ...[shown(0, 'Hel'), shown(1, '', OTHER_NODE), shown(2, 'lo you', OTHER_NODE)],
      ...[commit(0, '', -0.5), commit(1, 'Hello', -9999), gone(2, 'token_mismatch')],
      ...[commit(2, ' there'), shown(3, '!'), gone(3, 'redrafted'), shown(3, '?')],
      ...[commit(3, '?'), shown(4, ' END'), gone(4, 'stop_sequence')],
    ])
    expect(events.at(-1)).toMatchObject({ tokens_committed: 4, tokens_rolled_back: 3 })
    expect(events.reduce(reduceV8, v8Start)).toMatchObject({
      ...{ phase: 'done', committed: 'Hello there?', accepted: 3, rolledBack: 3 },
    })
  })

  it('says the same over HTTP/2', async () => {
    const api = await start(guessing, { tls: { certPem, keyPem } })
    const session = connectHttp2(api.origin, { ca: certPem })
    try {
      const views = []
      for await (const view of ghost(askHttp2(session, api, { ...chat, ...v8 }))) views.push(view)
      expect(views.map((view) => view.committed + view.ghost)).toContain('Hello you')
      expect(views.at(-1)).toMatchObject({ committed: 'Hello there?', isDone: true })
    } finally {
      session.close()
    }
  })

  it('is not seen in other answers', async () => {
    const api = await start(guessing)
    const text = await (await api.post(path, { ...chat, stream: true })).text()
    expect(text).not.toMatch(/you|provisional|rollback|END/)
    const whole = await (await api.post(path, chat)).json()
    expect(whole).toMatchObject({ choices: [{ message: { content: 'Hello there?' } }] })
  })

  it('is not believed where it guesses more than readers take', async () => {
    const storm = Array.from({ length: 3000 }, () => [draft(0, [1, 2], 'a'), draft(0, [3], 'b')])
    const far = [draft(7, [1], 'far'), draft(-1, [1], 'old'), draft(0, [1], 'x'.repeat(40_000))]
    const api = await start(said(...storm.flat(), ...far, tokens(0, [8], 'ok'), done(1)))
    let last: unknown
    for await (const view of ghost(await api.post(path, { ...chat, ...v8 }))) last = view
    expect(last).toMatchObject({ committed: 'ok', isDone: true })
  })

  it('may say what it likes: text is text', async () => {
    const evil = '</pre><script>alert(1)</script>\r\n\r\ndata: [DONE]\n\nevent: error\n\u001b[2J'
    const api = await start(said(draft(0, [1], evil), tokens(0, [2], evil), done(1)))
    const answer = await api.post(path, { ...chat, ...v8 })
    const { text, events } = await readV8(answer)
    expect(text.match(/^data: \[DONE\]$/gm)).toHaveLength(1)
    expect(text).not.toMatch(/^event: error|\r/m)
    expect(text).not.toContain('\u001b')
    expect(events.map(({ event }) => event)).toEqual([
      ...['stream.open', 'token.provisional', 'token.rollback', 'token.commit', 'token.finalize'],
    ])
    expect(events[3]).toMatchObject({ text: evil })
  })
})

describe('an answer that another peer goes on with', () => {
  it('loses the drafts of the first, and has receipts of both', async () => {
    const [first, second] = [segment(1), segment(2, 2)]
    const api = await start(
      said(
        ...[tokens(0, [1], 'a'), first, tokens(1, [2], 'b'), draft(2, [3], 'x')],
        ...[rollback(2, 'node_lost'), tokens(2, [4], 'c'), tokens(3, [5], 'd'), second, done(4)],
      ),
    )
    api.market.receipt = receipt
    const route = { candidates: [], excluded: {}, attempts: [], resumed: 1 }
    api.market.resumed = { times: 1, nodes: [NODE_ID, OTHER_NODE], route }
    const { events } = await readV8(await api.post(path, { ...chat, ...v8 }))
    expect(bare(events).filter((event) => !JSON.stringify(event).includes('commit"'))).toEqual([
      expect.objectContaining({ event: 'stream.open' }),
      { event: 'receipt.bound', cid: cidOf(first), segment_start: 0, segment_end: 0 },
      expect.objectContaining({ event: 'token.provisional', id: 2 }),
      { event: 'token.rollback', from_id: 2, reason: 'node_lost' },
      { event: 'receipt.bound', cid: cidOf(second), segment_start: 2, segment_end: 3 },
      expect.objectContaining({
        receipt: expect.objectContaining({ resumed: 1, nodes: [NODE_ID, OTHER_NODE] }),
      }),
    ])
    expect(events.reduce(reduceV8, v8Start)).toMatchObject({ phase: 'done', committed: 'abcd' })
  })
})

const cidOf = ({ receipt: of }: ReturnType<typeof segment>) => ryv1Cid(receiptDigest(of))

describe('an error', () => {
  it('before the first token is an answer of its own', async () => {
    const api = await start(silence, { firstByteMs: 20 })
    const answer = await api.post(path, { ...chat, ...v8 })
    expect(answer.status).toBe(504)
    expect(await answer.json()).toMatchObject({ error: { code: 'first_byte_timeout' } })
  })

  const breaking: Script = async function* () {
    yield* said(tokens(0, [1], 'a'), draft(1, [2], 'b'))({} as never, {} as never)
    throw new BusyError('The engine died; ask again.')
  }

  it('behind it is the last event, and nothing marks the end', async () => {
    const api = await start(breaking)
    const answer = await api.post(path, { ...chat, ...v8 })
    const { events, isWhole, named } = await readV8(answer)
    expect(isWhole).toBe(false)
    expect(named.at(-1)?.slice(0, 2)).toEqual(['event: error', 'id: 3'])
    const error = { type: 'server_error', param: null, code: 'overloaded' }
    expect(bare(events).at(-1)).toEqual({
      event: 'error',
      error: { message: 'The engine died; ask again.', ...error },
    })
    expect(events.reduce(reduceV8, v8Start)).toMatchObject({ phase: 'failed', ghosts: [] })
  })

  it("reaches users of ours and of OpenAI's clients as an error", async () => {
    const api = await start(breaking)
    const read = async () => {
      for await (const { tokens } of ghost(await api.post(path, { ...chat, ...v8 }))) {
        expect(tokens.committed).toBeLessThan(2)
      }
    }
    await expect(read()).rejects.toMatchObject({ code: 'overloaded' })
    const client = new OpenAI({ baseURL: api.baseURL, apiKey: api.apiKey })
    const stream = await client.chat.completions.create({ ...chat, ...v8, stream: true } as never)
    const readTheirs = async () => {
      for await (const _event of stream as unknown as AsyncIterable<object>);
    }
    await expect(readTheirs()).rejects.toMatchObject({ code: 'overloaded', type: 'server_error' })
  })

  it('says nothing of what only the log may know', async () => {
    const api = await start(async function* () {
      yield* said(tokens(0, [1], 'a'))({} as never, {} as never)
      throw new Error('secret /home/somebody')
    })
    const { text } = await readV8(await api.post(path, { ...chat, ...v8 }))
    expect(text).toContain('internal_error')
    expect(text).not.toContain('secret')
  })
})

describe('openapi.json', () => {
  it('has the events', async () => {
    const api = await start(
      said(draft(0, [9], 'x'), tokens(0, [1], 'a'), segment(1), tokens(1, [], '!'), done(1)),
    )
    api.market.receipt = receipt
    const { events } = await readV8(await api.post(path, { ...chat, ...v8 }))
    expect(new Set(events.map(({ event }) => event)).size).toBe(6)
    const document = await (await api.get('/api/v1/openapi.json')).json()
    for (const [where] of cases) {
      const { content } = document.paths[where].post.responses['200']
      const { schema } = content['text/event-stream']
      const validate = new Ajv2020({ strict: false }).compile(schema)
      for (const event of events) expect(validate(event), JSON.stringify(event)).toBe(true)
      expect(validate({ ...events[0], node: NODE_ID })).toBe(false)
    }
  })
})

/** As an event stream's reader has it: bytes. */
async function* askHttp2(session: ClientHttp2Session, { apiKey }: TestApi, body: object) {
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    authorization: `Bearer ${apiKey}`,
    'content-type': 'application/json',
  })
  stream.end(JSON.stringify(body))
  for await (const piece of stream) yield piece as Uint8Array
}
