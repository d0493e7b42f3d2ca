import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PeerError } from '../../src/base/errors.ts'
import { Pinaivu, PinaivuError } from '../../src/sdk/index.ts'
import { FakeClock } from '../base/fake-clock.ts'
import { answer, client, refusal, scripted, stalled, thrownBy } from './scripted-fetch.ts'

const broken = new TypeError('fetch failed')
const busy = (headers: Record<string, string> = {}) =>
  refusal(
    503,
    { error: { message: 'Busy.', type: 'server_error', param: null, code: 'overloaded' } },
    headers,
  )
const again = { 'x-should-retry': 'true' }
const turn = { model: 'm', message: 'Hi' }

describe('a request', () => {
  it('goes to its place with the key, and to open places without it', async () => {
    const { pinaivu, sent } = client([answer({})], { baseURL: 'https://peer.example/sub/v1/' })
    await pinaivu.models.get('org/a b:c')
    await pinaivu.receipts.get('ryv1:sha256:00')
    await pinaivu.usage.get({ days: 3, model: undefined })
    await pinaivu.chat.send(turn)
    expect(sent.map(({ method, url }) => `${method} ${url}`)).toEqual([
      'GET https://peer.example/sub/v1/models/org%2Fa%20b%3Ac',
      'GET https://peer.example/sub/v8/receipts/ryv1%3Asha256%3A00',
      'GET https://peer.example/sub/v1/usage?days=3',
      'POST https://peer.example/sub/api/v1/chat/completions',
    ])
    const keys = sent.map(({ headers }) => headers.get('authorization'))
    expect(keys).toEqual(['Bearer sk-pnv-x', null, 'Bearer sk-pnv-x', 'Bearer sk-pnv-x'])
    // Nothing for which a browser would have to ask before.
    expect([...(sent[1]?.headers.keys() ?? [])]).toEqual(['accept'])
    expect(sent[3]?.body).toBe(JSON.stringify(turn))
    expect(sent.every(({ redirect }) => redirect === 'error')).toBe(true)
  })

  it('leads nowhere else, whatever an id is', () => {
    const { pinaivu, sent } = client([answer({})])
    for (const id of ['', '.', '..', undefined as unknown as string]) {
      expect(() => pinaivu.files.get(id)).toThrow(PinaivuError)
    }
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1 }), (id) => {
        fc.pre(!/^\.{1,2}$/.test(id))
        void pinaivu.files.get(id)
        const { pathname, search, hash } = new URL(sent.at(-1)?.url ?? '')
        expect(pathname).toMatch(/^\/api\/v1\/files\/[^/]+$/)
        expect([search, hash]).toEqual(['', ''])
      }),
    )
  })

  it('takes no key that could not stand in a header', () => {
    for (const key of ['', 'a b', 'ä', 'a\n', 'a'.repeat(256)]) {
      expect(() => new Pinaivu({ apiKey: key })).toThrow(/apiKey/)
      const { pinaivu } = client([answer({})])
      expect(() => pinaivu.chat.send(turn, { idempotencyKey: key })).toThrow(/idempotencyKey/)
    }
    expect(() => client([answer({})]).pinaivu.files.download('http://x/files/')).toThrow(/url/)
  })

  it('is not made for a peer that is nowhere', () => {
    for (const baseURL of ['', '127.0.0.1:7462', 'ftp://x', 'http://', 'http://x?y']) {
      expect(() => new Pinaivu({ baseURL })).toThrow(/Expected http/)
    }
    expect(new Pinaivu().baseURL).toBe('http://127.0.0.1:7462')
  })
})

describe('an answer', () => {
  it('comes with what stood around it', async () => {
    const { pinaivu } = client([answer({ id: 'x' }, { 'x-ratelimit-remaining-requests': '3' })])
    const { data, response } = await pinaivu.files.get('x').withResponse()
    expect(data).toEqual({ id: 'x' })
    expect(response).toMatchObject({ status: 200, requestId: 'req_1' })
    expect(response.headers.get('x-ratelimit-remaining-requests')).toBe('3')
  })

  it.each(['', 'null', '7', '<html>', '{"a":'])(
    'that is no JSON object is refused: %s',
    async (text) => {
      const { pinaivu, sent } = client([new Response(text)])
      expect(await thrownBy(pinaivu.files.get('x'))).toMatchObject({ code: 'malformed' })
      expect(sent).toHaveLength(1)
    },
  )

  it('that is too large is not read to its end', async () => {
    let pulled = 0
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled++
        controller.enqueue(new Uint8Array(1000))
      },
    })
    const { pinaivu } = client([new Response(body)], { answerBytesMax: 5000 })
    expect(await thrownBy(pinaivu.files.get('x'))).toMatchObject({ code: 'answer_too_large' })
    expect(pulled).toBeLessThan(20)
  })

  it('that breaks off is not asked for again, and may be with its key', async () => {
    const body = () =>
      new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(new TextEncoder().encode('{"id":'))
        },
        pull: (controller) => controller.error(broken),
      })
    const { pinaivu, sent } = client([() => new Response(body())])
    const failure = await thrownBy(pinaivu.chat.send(turn))
    expect(sent).toHaveLength(1)
    expect(failure).toMatchObject({
      code: 'connection_failed',
      idempotencyKey: sent[0]?.headers.get('idempotency-key'),
      cause: broken,
    })
  })
})

describe('a refusal', () => {
  it('becomes one kind of error, in either of the shapes that peers have', async () => {
    const openAi = refusal(404, {
      error: { message: 'No.', type: 'not_found_error', param: 'model', code: 'model_not_found' },
      request_id: 'req_a',
    })
    const product = refusal(403, {
      error: { code: 'api_scope_denied', message: 'No.', requestId: 'req_b' },
    })
    const both = client([openAi, product], { maxRetries: 0 }).pinaivu
    const one = await thrownBy(both.files.get('x'))
    expect(one).toBeInstanceOf(PeerError)
    expect(one).toMatchObject({
      ...{ name: 'PinaivuError', status: 404, code: 'model_not_found', param: 'model' },
      ...{ message: 'No.', requestId: 'req_a' },
    })
    expect(await thrownBy(both.files.get('x'))).toMatchObject({
      ...{ status: 403, code: 'api_scope_denied', message: 'No.', requestId: 'req_b' },
    })
  })

  it.each(['', '<html>502</html>', '[]', 'null', '{"error":7}', '{"error":{"code":3}}'])(
    'by something else than a peer has its status: %s',
    async (text) => {
      const { pinaivu } = client([refusal(502, text)], { maxRetries: 0 })
      expect(await thrownBy(pinaivu.files.get('x'))).toMatchObject({
        ...{ status: 502, code: 'http_502', message: 'The peer answered with status 502.' },
      })
    },
  )

  it('is thrown also where nobody waits for the answer itself', async () => {
    const { pinaivu } = client([refusal(404, '')])
    expect(await thrownBy(pinaivu.files.get('x').withResponse())).toMatchObject({ status: 404 })
    expect(await thrownBy(pinaivu.files.list().withResponse())).toMatchObject({ status: 404 })
  })
})

describe('another try', () => {
  it('comes after what may pass, with the same key, and later each time', async () => {
    const { pinaivu, sent, waits } = client([broken, refusal(502, ''), answer({ id: 'x' })])
    await pinaivu.chat.send(turn)
    const keys = sent.map(({ headers }) => headers.get('idempotency-key'))
    expect(new Set(keys).size).toBe(1)
    expect(keys[0]).toMatch(/^[0-9a-f]{32}$/)
    expect(waits).toEqual([expect.toSatisfy(inside(375, 500)), expect.toSatisfy(inside(750, 1000))])
    await pinaivu.chat.send(turn)
    expect(sent.at(-1)?.headers.get('idempotency-key')).not.toBe(keys[0])
  })

  it('is not made more often than is said, of all calls or of one', async () => {
    for (const [maxRetries, of, tries] of [
      [undefined, {}, 3],
      [0, {}, 1],
      [4, {}, 5],
      [4, { maxRetries: 1 }, 2],
    ] as const) {
      const { pinaivu, sent } = client([broken], { maxRetries })
      const failure = await thrownBy(pinaivu.files.get('x', of))
      expect(failure).toMatchObject({ code: 'connection_failed', status: undefined, cause: broken })
      expect(sent).toHaveLength(tries)
    }
  })

  it.each([
    ...[400, 401, 402, 403, 404, 409, 413, 422].map((status) => [status, undefined, 1] as const),
    ...[408, 429, 500, 502, 503, 504].map((status) => [status, undefined, 3] as const),
    ...[408, 429, 500, 503].map((status) => [status, 'false', 1] as const),
    ...[400, 409].map((status) => [status, 'true', 3] as const),
  ])('after status %i with x-should-retry: %s: %i in all', async (status, said, tries) => {
    const headers: Record<string, string> = said === undefined ? {} : { 'x-should-retry': said }
    const { pinaivu, sent } = client([refusal(status, '', headers)])
    expect(await thrownBy(pinaivu.files.get('x'))).toMatchObject({ status })
    expect(sent).toHaveLength(tries)
  })

  it('waits as long as it is told, in any spelling, unless that is too long', async () => {
    const clock = new FakeClock()
    const date = new Date(clock.now() + 3000).toUTCString()
    const cases: [headers: Record<string, string>, ms: number | undefined, asked: number][] = [
      [{ 'retry-after-ms': '1500', 'retry-after': '9' }, 1500, 1500],
      [{ 'retry-after': '2' }, 2000, 2000],
      [{ 'retry-after': date }, 3000, 3000],
      [{ 'retry-after': '61' }, undefined, 61_000],
    ]
    for (const [headers, ms, retryAfterMs] of cases) {
      const waits: number[] = []
      const sleep = async (each: number) => void waits.push(each)
      const told = { now: clock.now, elapsed: clock.elapsed, after: () => () => {}, sleep }
      const { pinaivu } = client([busy(headers)], { maxRetries: 1, clock: told })
      expect(await thrownBy(pinaivu.files.get('x'))).toMatchObject({ retryAfterMs })
      expect(waits).toEqual(ms === undefined ? [] : [ms])
    }
  })

  it('is not waited for where its time would be over before', async () => {
    const { pinaivu, sent, waits } = client([busy({ 'retry-after': '5' })], { timeoutMs: 4000 })
    expect(await thrownBy(pinaivu.files.get('x'))).toMatchObject({ code: 'overloaded' })
    expect([sent.length, waits]).toEqual([1, []])
  })

  it('of a POST without a key is made only where the peer says so', async () => {
    const none = { idempotencyKey: null }
    const body = { model: 'm', messages: [] }
    for (const [steps, tries] of [
      [[broken], 1],
      [[refusal(502, '')], 1],
      [[busy(again)], 3],
    ] as const) {
      const whole = client([...steps])
      await thrownBy(whole.pinaivu.chat.completions.create(body, none))
      const stream = client([...steps])
      await thrownBy(stream.pinaivu.chat.completions.create({ ...body, stream: true }))
      expect([whole.sent.length, stream.sent.length]).toEqual([tries, tries])
      for (const { headers } of [...whole.sent, ...stream.sent]) {
        expect(headers.has('idempotency-key')).toBe(false)
      }
    }
    const given = client([broken])
    const failure = await thrownBy(
      given.pinaivu.chat.completions.create({ ...body, stream: true }, { idempotencyKey: 'mine' }),
    )
    expect(failure).toMatchObject({ idempotencyKey: 'mine' })
    expect(given.sent.map(({ headers }) => headers.get('idempotency-key'))).toEqual(
      Array.from({ length: 3 }, () => 'mine'),
    )
  })

  it('sends the same file again', async () => {
    const { pinaivu, sent } = client([broken, answer({})])
    const stream = new Blob(['bytes']).stream()
    await pinaivu.files.create({ file: stream, kind: 'image', filename: 'a.png' })
    const forms = sent.map(({ body }) => body as FormData)
    for (const form of forms) {
      const file = form.get('file') as File
      expect([file.name, await file.text(), form.get('kind')]).toEqual(['a.png', 'bytes', 'image'])
    }
    expect(forms).toHaveLength(2)
  })
})

describe('a call', () => {
  it('ends with its time, whoever it waits for', async () => {
    const never = () => new Promise<never>(() => {})
    for (const step of [never, () => stalled('{'), () => Promise.resolve(refusalThatStalls())]) {
      const clock = new FakeClock()
      const { fetch, sent } = scripted(step)
      const pinaivu = new Pinaivu({ fetch, clock, timeoutMs: 1000 })
      const failed = thrownBy(pinaivu.files.get('x'))
      await clock.advance(999)
      expect(sent[0]?.signal.aborted).toBe(false)
      await clock.advance(1)
      expect(await failed).toMatchObject({ code: 'timeout', status: undefined })
      expect(sent[0]?.signal.aborted).toBe(true)
      expect(clock.pending).toBe(0)
    }
  })

  it('reads a source no longer than that', async () => {
    const clock = new FakeClock()
    const { fetch, sent } = scripted(answer({}))
    const pinaivu = new Pinaivu({ fetch, clock })
    const file = new ReadableStream<Uint8Array>()
    const failed = thrownBy(pinaivu.files.create({ file, kind: 'image' }, { timeoutMs: 1000 }))
    await clock.advance(1000)
    expect(await failed).toMatchObject({ code: 'timeout' })
    expect(sent).toEqual([])
  })

  it('ends with the signal of its caller, in whatever it does', async () => {
    const why = new Error('enough')
    const leave = new AbortController()
    const asking = () => {
      leave.abort(why)
      return new Promise<never>(() => {})
    }
    const ended = client([asking])
    const failure = await thrownBy(ended.pinaivu.files.get('x', { signal: leave.signal }))
    expect(failure).toMatchObject({ code: 'aborted', cause: why })
    expect(ended.sent).toHaveLength(1)
    const before = client([answer({})])
    expect(await thrownBy(before.pinaivu.files.get('x', { signal: leave.signal }))).toMatchObject({
      code: 'aborted',
    })
    expect(before.sent).toEqual([])

    const clock = new FakeClock()
    const waiting = new Pinaivu({ fetch: scripted(busy(again)).fetch, clock })
    const other = new AbortController()
    const failed = thrownBy(waiting.files.get('x', { signal: other.signal }))
    await clock.advance(1)
    other.abort()
    expect(await failed).toMatchObject({ code: 'aborted' })
    expect(clock.pending).toBe(0)
  })

  it('may take any time, and none below', async () => {
    const forever = { timeoutMs: Number.POSITIVE_INFINITY }
    expect(await client([answer({})]).pinaivu.files.get('x', forever)).toEqual({})
    for (const timeoutMs of [0, -1, Number.NaN]) {
      const { pinaivu } = client([answer({})])
      expect(await thrownBy(pinaivu.files.get('x', { timeoutMs }))).toMatchObject({
        code: 'invalid_value',
      })
    }
  })
})

const inside = (low: number, high: number) => (ms: number) => ms >= low && ms <= high

const refusalThatStalls = () => new Response(new ReadableStream<Uint8Array>(), { status: 500 })
