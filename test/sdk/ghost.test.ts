import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as fc from 'fast-check'
import * as openai from 'openai/core/streaming'
import * as openai6 from 'openai-v6/core/streaming'
import { describe, expect, it } from 'vitest'
import { DeadlineError, PeerError } from '../../src/base/errors.ts'
import { EventStreamDecoder } from '../../src/sdk/event-stream.ts'
import { type GhostSource, type GhostView, ghost } from '../../src/sdk/index.ts'
import { v8Frame } from '../../src/wire/v8-codec.ts'
import type { V8Event } from '../../src/wire/v8-event.ts'
import { anyStream, bytesOf } from '../wire/v8-examples.ts'
import { commit, draft, failed, finalize, opened } from '../wire/vectors/v8-events.ts'

const utf8 = new TextEncoder()

const said = [opened, draft(0, 'Grü'), draft(1, 'ne'), commit(0, 'Grü'), commit(1, 'ße 😀')]
const whole: V8Event[] = [...said, finalize(2, 0)]

/** All views, and what was thrown behind the last. */
async function viewsOf(source: GhostSource, options = {}) {
  const views: GhostView[] = []
  try {
    for await (const view of ghost(source, options)) views.push(view)
    return { views, error: undefined }
  } catch (error) {
    return { views, error: error as PeerError }
  }
}

const shown = (views: readonly GhostView[]) => views.map((view) => [view.committed, view.ghost])

async function* each<T>(items: Iterable<T>): AsyncGenerator<T> {
  yield* items
}

const streamOf = (chunks: readonly Uint8Array[]) =>
  new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk)
      controller.close()
    },
  })

const answer = (body: BodyInit, init: ResponseInit = {}) =>
  new Response(body, { headers: { 'content-type': 'text/event-stream; charset=utf-8' }, ...init })

describe('ghost', () => {
  it('shows what is committed and what is drafted, and that it is done', async () => {
    const { views, error } = await viewsOf(answer(bytesOf(whole)))
    expect(error).toBeUndefined()
    expect(shown(views)).toEqual([
      ['', ''],
      ['', 'Grü'],
      ['', 'Grüne'],
      ['Grü', 'ne'],
      ['Grüße 😀', ''],
      ['Grüße 😀', ''],
    ])
    expect(views.map(({ event }) => event)).toEqual(whole)
    expect(views.map(({ isDone }) => isDone)).toEqual([false, false, false, false, false, true])
    expect(views.at(-1)).toMatchObject({
      opened,
      tokens: { committed: 2, accepted: 2, rolledBack: 0 },
    })
  })

  it('reads a response, its body, bytes of any kind, and events that others parsed', async () => {
    const bytes = bytesOf(whole)
    const { views } = await viewsOf(answer(bytes))
    const sources: GhostSource[] = [
      answer(bytes).body as ReadableStream<Uint8Array>,
      { getReader: () => streamOf([bytes]).getReader() } as ReadableStream<Uint8Array>,
      each([Buffer.from(bytes)]),
      each(whole),
      each([...whole, { event: 'token.sung' }]),
      { ok: true, status: 200, headers: new Headers(), body: each([bytes]) },
    ]
    for (const source of sources) expect(await viewsOf(source)).toEqual({ views, error: undefined })
  })

  it('shows the stream of an OpenAI client', async () => {
    const frames = whole.map(v8Frame).join('').concat('data: [DONE]\n\n')
    const { views } = await viewsOf(answer(frames))
    for (const { Stream } of [openai, openai6]) {
      const stream = Stream.fromSSEResponse<V8Event>(answer(frames), new AbortController())
      expect(await viewsOf(stream)).toEqual({ views, error: undefined })
    }
  })

  it('shows the same, however the bytes are cut', async () => {
    const cut = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 10 })
    const breaks = fc.constantFrom('\n', '\r', '\r\n')
    await fc.assert(
      fc.asyncProperty(anyStream, cut, breaks, async ({ events, answer }, lengths, lineBreak) => {
        const bytes = bytesOf(events, lineBreak)
        const chunks: Uint8Array[] = []
        for (let at = 0; at < bytes.length; ) {
          const length = lengths[chunks.length % lengths.length] ?? 1
          chunks.push(bytes.subarray(at, at + length), new Uint8Array())
          at += length
        }
        const { views, error } = await viewsOf(streamOf(chunks))
        expect(error).toBeUndefined()
        expect(views.map(({ event }) => event)).toEqual(events)
        expect(views.at(-1)).toMatchObject({ committed: answer, ghost: '', isDone: true })
      }),
    )
  })

  it('shows the same, byte by byte', async () => {
    const bytes = bytesOf(whole, '\r\n')
    const { views } = await viewsOf(each([bytes]))
    const single = Array.from(bytes, (byte) => Uint8Array.of(byte))
    expect(await viewsOf(each(single))).toEqual({ views, error: undefined })
  })
})

describe('an answer that breaks off', () => {
  it('throws what the peer says, behind what it had shown', async () => {
    const { views, error } = await viewsOf(answer(bytesOf([...said, failed])))
    expect(shown(views).at(-1)).toEqual(['Grüße 😀', ''])
    expect(views.at(-1)?.isDone).toBe(false)
    expect(error).toMatchObject({ code: 'engine_failed', message: failed.error.message })
    const proxied = `${'data: {"error":{"message":"No.","type":"bad_gateway"}}'}\n\n`
    const { error: other } = await viewsOf(answer(proxied))
    expect(other).toMatchObject({ code: 'bad_gateway', message: 'No.' })
  })

  it('is cut off where the stream ends in the middle', async () => {
    const bytes = bytesOf(whole)
    for (let at = 0; at < bytes.length - 200; at += 97) {
      const { views, error } = await viewsOf(each([bytes.subarray(0, at)]))
      if (views.at(-1)?.isDone) expect(error).toBeUndefined()
      else expect(error).toMatchObject({ code: 'cut_off' })
    }
  })

  it('throws what its reader throws', async () => {
    async function* broken() {
      yield bytesOf(said).subarray(0, 400)
      throw new TypeError('network error')
    }
    expect((await viewsOf(broken())).error).toBeInstanceOf(TypeError)
  })

  it('is refused where it is no such stream', async () => {
    const refusals: [source: GhostSource, code: string][] = [
      [answer('data: {"object":"chat.completion.chunk"}\n\n'), 'malformed'],
      [answer(bytesOf([opened, commit(1, 'a')])), 'malformed'],
      [answer('data: [DONE]\n\n'), 'malformed'],
      [answer(new Uint8Array([...utf8.encode('data: '), 0xff, 10, 10])), 'malformed'],
      [answer('{"choices":[]}', { headers: { 'content-type': 'application/json' } }), 'malformed'],
      [new Response(null), 'malformed'],
      [each(['[DONE]' as never]), 'malformed'],
      [each([{ toJSON: () => undefined }]), 'malformed'],
      [each([{ event: 1n }]), 'malformed'],
    ]
    for (const [source, code] of refusals) {
      const { error } = await viewsOf(source)
      expect(error).toBeInstanceOf(PeerError)
      expect(error).toMatchObject({ code })
    }
  })

  it('says what the peer says where it refused', async () => {
    const error = { message: 'No credit.', type: 'billing_error', param: 'model', code: 'poor' }
    const refused = (body: string, status = 402) => viewsOf(new Response(body, { status }))
    const { error: said } = await refused(JSON.stringify({ error }))
    expect(said).toMatchObject({ code: 'poor', message: 'No credit.', param: 'model' })
    for (const body of ['', 'oops', 'null', '{"error":"text"}', `{"error":${'['.repeat(99)}`]) {
      const { error: other } = await refused(body, 502)
      expect(other).toBeInstanceOf(PeerError)
      expect(other).toMatchObject({ code: 'http_502' })
    }
  })
})

describe('a reader', () => {
  /** Says something, and then nothing any more. */
  function stuck() {
    const left = Promise.withResolvers<unknown>()
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(bytesOf([opened]).subarray(0, -20)),
      cancel: left.resolve,
    })
    return { body, left: left.promise }
  }

  it('that leaves lets go of the answer', async () => {
    const { body, left } = stuck()
    for await (const { event } of ghost(body)) {
      expect(event).toEqual(opened)
      break
    }
    await left
  })

  it('does not wait for ever', async () => {
    const { body, left } = stuck()
    const { views, error } = await viewsOf(body, { quietMs: 20 })
    expect(views).toHaveLength(1)
    expect(error).toBeInstanceOf(DeadlineError)
    await left
    const error502 = new Response(stuck().body, { status: 502 })
    expect((await viewsOf(error502, { quietMs: 20 })).error).toBeInstanceOf(DeadlineError)
  })

  it('is not held up by a body that hangs', async () => {
    const body: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => {}),
        return: () => new Promise(() => {}),
      }),
    }
    const stop = new AbortController()
    const reading = viewsOf(body, { signal: stop.signal })
    stop.abort(new Error('enough'))
    expect((await reading).error).toMatchObject({ message: 'enough' })
  })
})

describe('hostile bytes', () => {
  it('of one endless line are refused before they are held', async () => {
    let sent = 0
    async function* endless() {
      for (;;) {
        sent += 64 * 1024
        yield new Uint8Array(64 * 1024).fill(0x61)
      }
    }
    expect((await viewsOf(endless())).error).toMatchObject({ code: 'malformed' })
    expect(sent).toBeLessThan(1024 * 1024)
  })

  it('of one endless event are refused as well', async () => {
    async function* endless() {
      for (;;) yield utf8.encode(`data: ${'x'.repeat(1000)}\n`)
    }
    expect((await viewsOf(endless())).error).toMatchObject({ code: 'malformed' })
  })

  it('in one piece cost as much for each as in many', async () => {
    const text = 'x'.repeat(100)
    const tokens = Array.from({ length: 20_000 }, (_, id) => commit(id, text))
    // If each line looked at all that comes behind it, this would take minutes.
    const bytes = bytesOf([opened, ...tokens, finalize(tokens.length, 0)])
    const { views, error } = await viewsOf(each([bytes]))
    expect(error).toBeUndefined()
    expect(views.at(-1)?.committed).toBe(text.repeat(tokens.length))
  })

  it('that come one by one are joined once', () => {
    const decoder = new EventStreamDecoder()
    const line = utf8.encode(`data: ${'x'.repeat(250_000)}\n\n`)
    const found: (string | undefined)[] = []
    for (const byte of line) {
      decoder.push(Uint8Array.of(byte))
      found.push(decoder.next())
    }
    expect(found.filter((data) => data !== undefined)).toEqual(['x'.repeat(250_000)])
  })
})

it('needs nothing but what stands in the project, so that a page can have its files as they are', () => {
  const seen = new Set<string>()
  const strangers: string[] = []
  const visit = (file: string) => {
    if (seen.has(file)) return
    seen.add(file)
    for (const [, specifier = ''] of readFileSync(file, 'utf8').matchAll(/ from '([^']+)'/g)) {
      if (specifier.startsWith('.')) visit(join(dirname(file), specifier))
      else strangers.push(`${file}: ${specifier}`)
    }
  }
  visit('src/sdk/ghost.ts')
  expect(seen.size).toBeGreaterThan(5)
  expect(strangers).toEqual([])
})
