import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { Fetch } from '../../src/sdk/client/operation.ts'
import {
  type ChatEvent,
  type DeliveredEvent,
  type GhostView,
  Pinaivu,
  PinaivuError,
} from '../../src/sdk/index.ts'
import { png } from '../accounts/files/media-files.ts'
import { ANSWER_TEXT } from '../api/scripted-engine.ts'
import { CheckedFetch, type Document } from './checked-fetch.ts'
import { makeWholePeer, type WholePeer } from './whole-peer.ts'

// The client against a whole peer. Whoever adds a route adds a method here, or says why not.

/** Not for clients. */
const exempt: Record<string, string> = {
  'GET /metrics': 'text for Prometheus',
}

let whole: WholePeer
let checked: CheckedFetch
let pinaivu: Pinaivu

beforeAll(async () => {
  whole = await makeWholePeer()
  const { http, apiKey } = whole.peer.ready()
  const baseURL = http ?? ''
  const document = await new Pinaivu({ baseURL }).service.openApi()
  checked = new CheckedFetch(document as unknown as Document)
  pinaivu = new Pinaivu({ apiKey, baseURL, fetch: checked.fetch })
})

afterAll(() => whole.stop())

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const got: T[] = []
  for await (const item of items) got.push(item)
  return got
}

const model = 'test-chat'
const messages = [{ role: 'user' as const, content: 'Hi' }]

describe('the client of a whole peer', () => {
  it('answers conversations whole, in chunks, and with drafts', async () => {
    const { completions } = pinaivu.chat
    const { data, response } = await completions.create({ model, messages }).withResponse()
    expect(data.choices[0]?.message.content).toBe(ANSWER_TEXT)
    expect(response).toMatchObject({ status: 200, requestId: data.request_id })
    expect(response.headers.get('x-pinaivu-model')).toBe(model)

    const stream = await completions.create({ model, messages, stream: true })
    expect(stream.requestId).toMatch(/^req_/)
    const chunks = await all(stream)
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe(ANSWER_TEXT)

    // Whether it streams, may be said late.
    const either: boolean = data.choices.length === 0
    expect(await completions.create({ model, messages, stream: either })).toMatchObject({
      object: 'chat.completion',
    })

    const watched = await completions.create({
      ...{ model, messages, stream: true, stream_mode: 'v8' },
    })
    const shown: GhostView[] = await all(watched)
    expect(shown.at(-1)).toMatchObject({ committed: ANSWER_TEXT, isDone: true })
  })

  it('goes on with texts, and makes vectors of them', async () => {
    const asked = { model, prompt: 'Hi', max_tokens: 99 }
    const { choices } = await pinaivu.completions.create(asked)
    expect(choices[0]?.text).toBe(ANSWER_TEXT)
    const chunks = await all(await pinaivu.completions.create({ ...asked, stream: true }))
    expect(chunks.map((chunk) => chunk.choices[0]?.text ?? '').join('')).toBe(ANSWER_TEXT)
    const shown = await all(
      await pinaivu.completions.create({ ...asked, stream: true, stream_mode: 'v8' }),
    )
    expect(shown.at(-1)?.committed).toBe(ANSWER_TEXT)

    const input = ['Hi', 'Ho']
    const embedded = { model: 'test-embed', input }
    const { data } = await pinaivu.embeddings.create(embedded)
    const plain = await pinaivu.embeddings.create({ ...embedded, encoding_format: 'float' })
    expect(data).toHaveLength(2)
    expect(data[0]?.embedding.length).toBeGreaterThan(1)
    expect(data).toEqual(plain.data)
    const encoded = await pinaivu.embeddings.create({ ...embedded, encoding_format: 'base64' })
    expect(encoded.data[0]?.embedding).toBeTypeOf('string')
  })

  it('names models, with slashes too, and says when there is none', async () => {
    const { data } = await pinaivu.models.list()
    expect(data.map(({ id }) => id)).toContain('org/llama3.2:3b')
    expect((await pinaivu.models.get('org/llama3.2:3b')).id).toBe('org/llama3.2:3b')
    expect((await pinaivu.models.catalog()).data.map(({ id }) => id)).toContain(model)
    const failure = await pinaivu.models.get('no-such').catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(PinaivuError)
    expect(failure).toMatchObject({
      ...{ status: 404, code: 'model_not_found', param: 'model' },
      requestId: expect.stringMatching(/^req_/),
    })
  })

  it('holds conversations that the peer keeps', async () => {
    const { chat, sessions } = pinaivu
    const first = await chat.send({ model, message: 'Hi', instructions: 'Be short.' })
    const { session_id } = first
    expect(first.message.content).toBe(ANSWER_TEXT)
    const turn = { model, message: 'And?', session_id }
    for (const stream of [await chat.send({ ...turn, stream: true }), await chat.stream(turn)]) {
      const events: ChatEvent[] = await all(stream)
      const deltas = events.flatMap((each) => (each.event === 'message.delta' ? each.delta : []))
      expect(deltas.join('')).toBe(ANSWER_TEXT)
      expect(events[0]).toMatchObject({ event: 'chat.started', session_id })
      expect(events.at(-1)).toMatchObject({ event: 'chat.completed', session_id })
    }
    const session = await sessions.get(session_id)
    expect(session.messages).toHaveLength(6)
    expect((await sessions.get(session_id, { messages_before: 2 })).messages).toHaveLength(2)
    expect((await sessions.update(session_id, { title: 'Short' })).title).toBe('Short')
    expect((await all(sessions.list())).map(({ id }) => id)).toContain(session_id)
    expect(await sessions.delete(session_id)).toMatchObject({ deleted: true })
    await expect(sessions.get(session_id)).rejects.toMatchObject({ status: 404 })
  })

  it('sends files of every kind of source, and reads them again', async () => {
    const { files } = pinaivu
    const picture = new Uint8Array(png(1, 1_000))
    const sources = [
      ...[picture, picture.buffer, new Blob([picture]), new Blob([picture]).stream()],
      new File([picture], 'mine.png'),
      (async function* () {
        yield picture.subarray(0, 10)
        yield picture.subarray(10)
      })(),
    ]
    const made = await Promise.all(sources.map((file) => files.create({ file, kind: 'image' })))
    expect(new Set(made.map(({ sha256 }) => sha256)).size).toBe(1)
    expect(made[4]?.filename).toBe('mine.png')
    const one = made[0] as (typeof made)[0]
    expect(await files.get(one.id)).toMatchObject({ id: one.id, mime_type: 'image/png' })
    const content = await files.content(one.id)
    expect(content).toMatchObject({ mimeType: 'image/png', length: picture.length })
    expect(await content.bytes()).toEqual(picture)
    const part = await files.content(one.id, { from: 4, to: 7 })
    expect(part.status).toBe(206)
    expect(await part.bytes()).toEqual(picture.slice(4, 8))
    const blob = await (await files.download(one.url)).blob()
    expect([blob.type, blob.size]).toEqual(['image/png', picture.length])
    // Page after page.
    expect((await files.list({ limit: 2 })).has_more).toBe(true)
    const listed = (await all(files.list({ limit: 2 }))).map(({ id }) => id)
    expect(listed.toSorted()).toEqual(made.map(({ id }) => id).toSorted())
    const backwards = await all(files.list({ limit: 2, before: listed[5] ?? '' }))
    expect(backwards.map(({ id }) => id).toSorted()).toEqual(listed.slice(0, 5).toSorted())
    expect(await files.delete(one.id)).toMatchObject({ deleted: true })
  })

  it('makes, rotates and revokes keys', async () => {
    const { keys } = pinaivu
    const made = await keys.create({ name: 'x', account: 'ann', scopes: ['models:read'] })
    const own = new Pinaivu({ apiKey: made.key, baseURL: pinaivu.baseURL, maxRetries: 0 })
    expect(await own.keys.me()).toMatchObject({ account: 'ann', key: { id: made.id } })
    await expect(own.chat.send({ model, message: 'Hi' })).rejects.toMatchObject({
      ...{ status: 403, code: 'api_scope_denied', requestId: expect.stringMatching(/^req_/) },
    })
    const rotated = await keys.rotate(made.id, { overlap_seconds: 0 })
    expect(rotated.key).not.toBe(made.key)
    await expect(own.keys.me()).rejects.toMatchObject({ status: 401 })
    expect((await all(keys.list())).map(({ id }) => id)).toContain(made.id)
    expect((await keys.revoke(made.id)).revoked_at).not.toBeNull()
    expect((await pinaivu.keys.me()).account).toBe('owner')
  })

  it('accounts for credits and usage', async () => {
    const { credits, usage } = pinaivu
    const key = 'grant-1'
    const grant = await credits.grant({ account: 'ann', amount: 7 }, { idempotencyKey: key })
    const again = await credits.grant({ account: 'ann', amount: 7 }, { idempotencyKey: key })
    expect(again).toEqual(grant)
    expect(await credits.get({ account: 'ann' })).toMatchObject({ available_credits: 7 })
    expect(await all(credits.ledger({ account: 'ann' }))).toEqual([grant])
    expect((await credits.get()).current_credits).toBeGreaterThan(0)
    expect(await credits.audit()).toMatchObject({ ok: true, sum: 0 })
    expect(await all(credits.owed())).toEqual([])
    const report = await usage.get({ days: 1 })
    expect(report.by_model.map((each) => each.model)).toContain(model)
  })

  it('shows receipts, checks them here, and follows those that come', async () => {
    const { receipts, log } = pinaivu
    const feed = await receipts.follow()
    const next = feed[Symbol.asyncIterator]()
    const came = next.next()
    const answer = await pinaivu.chat.completions.create({ model, messages })
    const cid = answer.receipt?.cid ?? ''
    const line = (await came).value
    expect(line).toMatchObject({ object: 'receipt', cid })
    await next.return?.()
    expect((await receipts.get(cid)).status).toBe('final')
    expect(await receipts.verify(cid, { answer: ANSWER_TEXT })).toMatchObject({ holds: true })
    expect((await receipts.lineage(cid)).verified).toBe(true)
    const routing = await receipts.ofRequest(`req_${answer.request_id.slice(4)}`)
    expect(routing).toMatchObject({ object: 'routing_receipt', ryv1_cid: cid })
    expect(await receipts.ofRequest(cid)).toMatchObject({ object: 'receipt', cid })
    const some = await all(receipts.recent({ limit: 2, model }))
    expect(some.map((each) => each.cid)).toContain(cid)

    const [head] = await all(log.heads())
    const author = head?.author ?? ''
    expect(author).toBe(whole.peer.ready().peerId)
    const { part, entries } = await log.read(author)
    expect(entries).toHaveLength(part.end - part.from)
    const later = await all(log.entries(author, { from: 1 }))
    expect(later[0]).toEqual(entries[1])
    const verified = await all(log.entries(author, { network: 'main' }))
    expect(verified.slice(0, entries.length)).toEqual(entries)
    await expect(all(log.entries(author, { network: 'other' }))).rejects.toMatchObject({
      name: 'PinaivuError',
    })
    await expect(all(log.entries('x'))).rejects.toMatchObject({ status: 400, param: 'author' })
  })

  it('tells of the network and of the peer', async () => {
    expect((await pinaivu.network.summary()).online_nodes).toBe(1)
    const { data } = await pinaivu.network.peers()
    expect(data[0]).toMatchObject({ self: true, node: whole.peer.ready().peerId })
    expect(await pinaivu.service.alive()).toEqual({ status: 'ok' })
    expect(await pinaivu.service.ready()).toMatchObject({ ready: true, storage: 'ok' })
    expect((await pinaivu.service.openApi()).openapi).toBe('3.1.0')
  })

  it('has webhooks, and unwraps what they bring', async () => {
    const { webhooks } = pinaivu
    const hook = await startHook()
    const made = await webhooks.create({ url: hook.url, event_types: ['chat.completed'] })
    const { id, signing_secret: secret } = made
    expect(await webhooks.test(id)).toMatchObject({ status: 'succeeded', response_status: 200 })
    await pinaivu.chat.send({ model, message: 'Hi' })
    const [tested, told] = await hook.got(2)
    const opened: DeliveredEvent = await webhooks.unwrap(tested.body, tested.headers, { secret })
    expect(opened.type).toBe('webhook.test')
    expect((await webhooks.unwrap(told.body, told.headers, { secret })).type).toBe('chat.completed')
    const other = { secret: 'whsec_AAAA' }
    await expect(webhooks.unwrap(told.body, told.headers, other)).rejects.toMatchObject({
      code: 'invalid_webhook_signature',
    })
    const rotated = await webhooks.rotateSecret(id)
    expect(rotated.signing_secret).not.toBe(secret)
    expect(await webhooks.update(id, { status: 'disabled' })).toMatchObject({ status: 'disabled' })
    expect(await webhooks.get(id)).toMatchObject({ status: 'disabled' })
    expect((await all(webhooks.list())).map((each) => each.id)).toEqual([id])
    expect((await all(webhooks.deliveries(id, { limit: 1 }))).length).toBeGreaterThan(1)
    expect(await all(webhooks.events({ type: 'chat.completed' }))).toHaveLength(1)
    expect(await webhooks.delete(id)).toMatchObject({ deleted: true })
  })

  it('is charged once, however often an answer is lost on its way', async () => {
    const { apiKey, http } = whole.peer.ready()
    let lost = 2
    const fetch: Fetch = async (url, init) => {
      const answer = await checked.fetch(url, init)
      if (lost-- <= 0) return answer
      await answer.text()
      throw new TypeError('fetch failed')
    }
    const cut = new Pinaivu({ apiKey, baseURL: http ?? '', fetch })
    const { engine } = whole
    const asked = engine.jobs.length
    const answer = cut.chat.completions.create({ model, messages })
    const { data, response } = await answer.withResponse()
    expect(data.choices[0]?.message.content).toBe(ANSWER_TEXT)
    expect(response.headers.get('idempotency-replayed')).toBe('true')
    expect(engine.jobs.length - asked).toBe(1)

    lost = 1
    const file = new Uint8Array(png(2, 1_000))
    const before = await all(pinaivu.files.list())
    const { id } = await cut.files.create({ file, kind: 'image' })
    expect((await all(pinaivu.files.list())).map((each) => each.id)).toEqual([
      id,
      ...before.map((each) => each.id),
    ])
  })

  it('stops the work of a stream that nobody reads on', async () => {
    const { engine } = whole
    const { script } = engine
    onTestFinished(() => {
      engine.script = script
    })
    let stopped = () => {}
    const over = new Promise<void>((resolve) => {
      stopped = resolve
    })
    engine.script = async function* (_job, signal) {
      yield { type: 'accepted', inputTokens: 1 }
      yield { type: 'tokens', choice: 0, index: 0, ids: [1], text: 'So' }
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      stopped()
      const usage = { inputTokens: 1, cachedTokens: 0, outputTokens: 1 }
      yield { type: 'done', finish: ['cancelled'], usage }
    }
    const stream = await pinaivu.chat.completions.create({ model, messages, stream: true })
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta.content === 'So') stream.abort()
    }
    await over
  })

  it('has a method for every operation, and every answer was as it is described', async () => {
    const faults = await checked.faults()
    expect(faults).toEqual([])
    const all = checked.operations.map(({ name }) => name)
    const missing = all.filter((name) => !checked.seen.has(name) && !(name in exempt))
    expect(missing).toEqual([])
    expect(Object.keys(exempt).filter((name) => !all.includes(name))).toEqual([])
  })
})

interface Delivered {
  body: string
  headers: IncomingHttpHeaders
}

/** Somebody's server, to which events are sent. */
async function startHook() {
  const came: Delivered[] = []
  let wake = () => {}
  const server = createServer(async (request, response) => {
    came.push({ body: await text(request), headers: request.headers })
    response.end()
    wake()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    got: async (count: number) => {
      while (came.length < count) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      return came as [Delivered, Delivered]
    },
  }
}
