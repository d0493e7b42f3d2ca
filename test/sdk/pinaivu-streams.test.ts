import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ChatCompletionChunk, Pinaivu, type PinaivuError } from '../../src/sdk/index.ts'
import { FakeClock } from '../base/fake-clock.ts'
import { bytesOf } from '../wire/v8-examples.ts'
import { commit, draft, failed, finalize, opened } from '../wire/vectors/v8-events.ts'
import { client, events, scripted, stalled, thrownBy } from './scripted-fetch.ts'

const utf8 = new TextEncoder()
const ask = { model: 'm', messages: [], stream: true } as const

/** All that came, and what was thrown behind it. */
async function taken<T>(items: AsyncIterable<T>) {
  const got: T[] = []
  try {
    for await (const item of items) got.push(item)
    return { got, error: undefined }
  } catch (error) {
    return { got, error: error as PinaivuError }
  }
}

const streamed = async (pieces: Uint8Array[]) =>
  taken(await client([events(pieces)]).pinaivu.chat.completions.create(ask))

const chunk = (content: string) => ({ id: 'c', choices: [{ delta: { content } }] })
const frames = (values: unknown[], end = 'data: [DONE]\n\n') =>
  utf8.encode(
    `: ping\n\n${values.map((value) => `data: ${JSON.stringify(value)}\n\n`).join('')}${end}`,
  )

describe('a stream', () => {
  it('has the same events however its bytes are cut', async () => {
    const anyEvents = fc.array(fc.string({ unit: 'grapheme' }).map(chunk), { maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(anyEvents, fc.array(fc.nat(300), { maxLength: 8 }), async (all, cuts) => {
        const bytes = frames(all)
        const at = [
          0,
          ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b),
          bytes.length,
        ]
        const pieces = at.slice(1).map((end, index) => bytes.subarray(at[index], end))
        const { got, error } = await streamed(pieces)
        expect([got, error]).toEqual([all, undefined])
      }),
    )
  })

  it('that is cut anywhere gives what came, and says that it is not the whole', async () => {
    const all = ['Grü', 'ße 😀'].map(chunk)
    const bytes = frames(all)
    for (let end = 0; end < bytes.length; end++) {
      const { got, error } = await streamed([bytes.subarray(0, end)])
      expect(all.slice(0, got.length)).toEqual(got)
      expect([end, error?.code]).toEqual([end, 'cut_off'])
    }
    expect((await streamed([bytes])).got).toEqual(all)
    expect((await streamed([frames(all, '')])).error?.code).toBe('cut_off')
  })

  it('whose connection breaks says so', async () => {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(frames([chunk('a')], '')),
      pull: (controller) => controller.error(new TypeError('terminated')),
    })
    const { pinaivu } = client([() => new Response(body)])
    const { got, error } = await taken(await pinaivu.chat.completions.create(ask))
    expect([got.length, error?.code]).toEqual([1, 'connection_failed'])
  })

  it('throws the error that the peer ends it with, in either shape', async () => {
    const openAi = {
      error: { message: 'Gone.', type: 'server_error', param: null, code: 'provider_failed' },
      request_id: 'req_2',
    }
    const first = await streamed([frames([chunk('a'), openAi])])
    expect(first.got).toHaveLength(1)
    expect(first.error).toMatchObject({
      ...{ name: 'PinaivuError', code: 'provider_failed', message: 'Gone.' },
      ...{ requestId: 'req_2', status: undefined },
    })
    const product = { error: { code: 'engine_failed', message: 'Gone.', requestId: 'req_3' } }
    const text = `event: message.delta\ndata: {"delta":"a"}\n\nevent: error\ndata: ${JSON.stringify(product)}\n\n`
    const { pinaivu } = client([events([utf8.encode(text)])])
    const second = await taken(await pinaivu.chat.stream({ model: 'm', message: 'Hi' }))
    expect(second.got).toEqual([{ event: 'message.delta', delta: 'a' }])
    expect(second.error).toMatchObject({ code: 'engine_failed', requestId: 'req_3' })
  })

  it.each(['data: {\n\n', 'data: 7\n\n', 'data: null\n\n'])(
    'of no JSON is refused: %j',
    async (text) => {
      expect((await streamed([utf8.encode(text)])).error?.code).toBe('malformed')
    },
  )

  it('that is no UTF-8, or has an event without end, is refused', async () => {
    const bad = Uint8Array.from([...utf8.encode('data: "'), 0xff, ...utf8.encode('"\n\n')])
    expect((await streamed([bad])).error?.code).toBe('malformed')
    const long = utf8.encode(`data: ${'a'.repeat(2 ** 20)}`)
    const body = new ReadableStream<Uint8Array>({ pull: (each) => each.enqueue(long) })
    const { pinaivu } = client([() => new Response(body)])
    const { error } = await taken(await pinaivu.chat.completions.create(ask))
    expect(error?.code).toBe('malformed')
  })

  it('shows drafts, and throws in the same words', async () => {
    const watch = { ...ask, stream_mode: 'v8' } as const
    const bytes = bytesOf([opened, draft(0, 'a'), commit(0, 'a'), finalize(1, 0)])
    const whole = await client([events([bytes])]).pinaivu.chat.completions.create(watch)
    const { got, error } = await taken(whole)
    expect(got.map(({ committed, ghost }) => [committed, ghost])).toEqual([
      ...[
        ['', ''],
        ['', 'a'],
        ['a', ''],
        ['a', ''],
      ],
    ])
    expect(error).toBeUndefined()
    for (const [other, code] of [
      [bytesOf([opened, failed]), failed.error.code],
      [bytesOf([opened, draft(0, 'a')]), 'malformed'],
      [bytesOf([opened, draft(0, 'a')]).slice(0, -'data: [DONE]\n\n'.length), 'cut_off'],
    ] as const) {
      const { pinaivu } = client([events([other])])
      const broke = await taken(await pinaivu.chat.completions.create(watch))
      expect(broke.error).toMatchObject({ name: 'PinaivuError', code, requestId: 'req_1' })
    }
  })
})

describe('whoever reads a stream', () => {
  const open = async () => {
    const cancelled = Promise.withResolvers<void>()
    const body = stalled('data: {"n":1}\n\n', () => cancelled.resolve())
    const { fetch, sent } = scripted(() => body)
    const clock = new FakeClock()
    const leave = new AbortController()
    const pinaivu = new Pinaivu({ fetch, clock, quietMs: 60_000 })
    const stream = await pinaivu.chat.completions.create(ask, { signal: leave.signal })
    return { stream, leave, clock, cancelled: cancelled.promise, sent }
  }

  it('may leave it: then it ends at the peer as well', async () => {
    const { stream, cancelled, sent } = await open()
    for await (const each of stream) {
      expect(each).toEqual({ n: 1 })
      break
    }
    await cancelled
    expect(sent[0]?.signal.aborted).toBe(true)
  })

  it('may abort it: then the loop ends', async () => {
    const { stream, cancelled } = await open()
    const got: ChatCompletionChunk[] = []
    for await (const each of stream) {
      got.push(each)
      stream.abort()
    }
    expect(got).toHaveLength(1)
    await cancelled
  })

  it('is told when its signal ends it', async () => {
    const { stream, leave, cancelled } = await open()
    const reading = stream[Symbol.asyncIterator]()
    await reading.next()
    const next = thrownBy(reading.next())
    leave.abort()
    expect(await next).toMatchObject({ code: 'aborted' })
    await cancelled
  })

  it('waits no longer than a peer that lives is quiet', async () => {
    const { stream, clock, cancelled } = await open()
    const reading = stream[Symbol.asyncIterator]()
    await reading.next()
    const next = thrownBy(reading.next())
    await clock.advance(60_000)
    expect(await next).toMatchObject({ code: 'timeout' })
    await cancelled
    expect(clock.pending).toBe(0)
  })

  it('reads it once', async () => {
    const { pinaivu } = client([events([frames([chunk('a')])])])
    const stream = await pinaivu.chat.completions.create(ask)
    expect((await taken(stream)).got).toHaveLength(1)
    expect((await taken(stream)).error?.code).toBe('stream_taken')
  })
})
