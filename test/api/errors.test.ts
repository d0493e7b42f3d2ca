import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { answerTo, errorBody, errorHeaders, openAiError } from '../../src/api/error-answer.ts'
import { errorStatus } from '../../src/api/error-status.ts'
import type { RouteModule } from '../../src/api/route.ts'
import { array, closed, integer, object, oneOf, optional, string } from '../../src/api/schema.ts'
import { BusyError, DeadlineError, InvalidError, PeerError } from '../../src/base/errors.ts'
import { asOwner, errorOf, json, startServer } from './harness.ts'

/** A route that throws what it is asked to. */
const throwing =
  (thrown: () => unknown): RouteModule =>
  (app) => {
    for (const url of ['/v1/throw', '/v8/throw', '/api/v1/throw']) {
      app.get(url, { config: { access: 'public' } }, async () => {
        throw thrown()
      })
    }
  }

async function failure(thrown: unknown) {
  const started = await startServer([throwing(() => thrown)])
  const answer = await fetch(`${started.url}/v1/throw`)
  return { ...started, answer, body: await errorOf(answer) }
}

describe('an error of our own', () => {
  it('has its status and every member of OpenAI’s shape', async () => {
    const { answer, body } = await failure(
      new PeerError('model_not_found', 'There is no model x.', { param: 'model' }),
    )
    expect(answer.status).toBe(404)
    expect(answer.headers.get('content-type')).toContain('application/json')
    expect(body).toEqual({
      error: {
        message: 'There is no model x.',
        type: 'invalid_request_error',
        param: 'model',
        code: 'model_not_found',
      },
      request_id: answer.headers.get('x-request-id'),
    })
  })

  it('has the product surface’s shape there, and OpenAI’s on /v8', async () => {
    const { url } = await startServer([throwing(() => new InvalidError('limit', 'Too many.'))])
    const product = await fetch(`${url}/api/v1/throw`)
    expect(product.status).toBe(400)
    const requestId = product.headers.get('x-request-id')
    expect(await product.json()).toEqual({
      error: { code: 'invalid_value', message: 'Too many.', requestId },
    })
    const v8 = await fetch(`${url}/v8/throw`)
    expect((await errorOf(v8)).error).toEqual({
      code: 'invalid_value',
      message: 'Too many.',
      param: 'limit',
      type: 'invalid_request_error',
    })
  })

  it.each([
    ['invalid_value', 400, 'invalid_request_error', 'false'],
    ['unsupported_parameter', 400, 'invalid_request_error', 'false'],
    ['context_length_exceeded', 400, 'invalid_request_error', 'false'],
    ['insufficient_credits', 402, 'insufficient_quota', 'false'],
    ['insufficient_scope', 403, 'permission_error', 'false'],
    ['not_found', 404, 'not_found_error', 'false'],
    ['idempotency_conflict', 409, 'invalid_request_error', 'false'],
    ['chat_session_conflict', 409, 'invalid_request_error', 'false'],
    ['request_too_large', 413, 'invalid_request_error', 'false'],
    ['unsupported_media_type', 415, 'invalid_request_error', 'false'],
    ['invalid_json', 422, 'invalid_request_error', 'false'],
    ['rate_limit_exceeded', 429, 'rate_limit_error', 'true'],
    ['engine_failed', 500, 'server_error', 'true'],
    ['model_failed', 503, 'server_error', 'false'],
    ['no_nodes_available', 503, 'server_error', 'true'],
    ['no_nodes_in_jurisdiction', 503, 'server_error', 'true'],
    ['overloaded', 503, 'server_error', 'true'],
    ['first_byte_timeout', 504, 'server_error', 'true'],
  ])('%s is a %i', (code, status, type, retry) => {
    const answer = answerTo(new PeerError(code, 'Why.'))
    expect(answer.status).toBe(status)
    expect(errorHeaders(answer)['x-should-retry']).toBe(retry)
    expect(openAiError(answer, 'req_1').error).toMatchObject({ code, type, message: 'Why.' })
  })

  it('knows only statuses that are errors', () => {
    for (const [code, row] of Object.entries(errorStatus)) {
      expect(code).toMatch(/^[a-z_]+$/)
      expect(row.status).toBeGreaterThanOrEqual(400)
      expect(row.status).toBeLessThan(600)
    }
  })

  it('says when to come back, never later than a minute', () => {
    const afterMs = (ms: number) => errorHeaders(answerTo(new BusyError('Full.', ms)))
    expect(afterMs(250)).toMatchObject({ 'retry-after': '1', 'retry-after-ms': '250' })
    expect(afterMs(1001)).toMatchObject({ 'retry-after': '2', 'retry-after-ms': '1001' })
    expect(afterMs(3_600_000)).toMatchObject({ 'retry-after': '60', 'retry-after-ms': '60000' })
    expect(afterMs(0)).toMatchObject({ 'retry-after': '1', 'retry-after-ms': '1' })
    expect(errorHeaders(answerTo(new InvalidError('n', 'No.')))).toEqual({
      'x-should-retry': 'false',
    })
  })

  it('is a 500 for a code that only looks known', () => {
    for (const code of ['constructor', '__proto__', 'no_such_code']) {
      expect(answerTo(new PeerError(code, 'Why.')).status).toBe(500)
    }
  })

  it('of a deadline is a 504', () => {
    expect(answerTo(new DeadlineError('The first byte', 10)).status).toBe(504)
  })

  it('tells the product surface in its own words where it has some', () => {
    const body = errorBody('/api/v1/x', answerTo(new PeerError('rate_limit_exceeded', 'S.')), 'r')
    expect(body).toEqual({ error: { code: 'rate_limited', message: 'S.', requestId: 'r' } })
  })
})

describe('an unforeseen error', () => {
  it.each([
    ['a bug', new TypeError('cannot read /home/somebody/secret')],
    ['an unknown code', new PeerError('never_heard_of', 'the secret is 42')],
    ['a string', 'secret'],
    ['nothing', null],
    ['one that pretends', Object.assign(new Error('secret'), { statusCode: 418, code: 'E' })],
  ])('(%s) is a 500 that says nothing, and the log says everything', async (_what, thrown) => {
    const { answer, body, log } = await failure(thrown)
    expect(answer.status).toBe(500)
    expect(answer.headers.get('x-should-retry')).toBe('false')
    expect(body.error).toMatchObject({ type: 'server_error', code: 'internal_error', param: null })
    expect(JSON.stringify(body)).not.toMatch(/secret/)
    const [line] = log.filter(({ level }) => level === 'error')
    expect(line?.data).toMatchObject({ requestId: body.request_id, error: thrown })
  })
})

describe('a body', () => {
  const echo: RouteModule = (app) => {
    const body = closed({
      name: string(),
      size: optional(integer({ minimum: 1, maximum: 9 })),
      list: optional(array(object({ kind: oneOf(['a', 'b']) }))),
    })
    const config = { access: 'inference' } as const
    app.post('/v1/echo', { config, schema: { body } }, ({ body }) => body as object)
  }
  async function post(body: string | Uint8Array<ArrayBuffer> | undefined, headers: object = json) {
    const { url } = await startServer([echo])
    const init = { method: 'POST', headers: { ...asOwner, ...headers } }
    const answer = await fetch(`${url}/v1/echo`, body === undefined ? init : { ...init, body })
    return { status: answer.status, body: await errorOf(answer) }
  }

  it('that fits is taken as it is', async () => {
    const { status, body } = await post('{"name":"x","size":3,"list":[{"kind":"a"}]}')
    expect(status).toBe(200)
    expect(body).toEqual({ name: 'x', size: 3, list: [{ kind: 'a' }] })
  })

  it.each([
    ['broken', '{"name":'],
    ['empty', ''],
    ['a bare word', 'hello'],
    ['trailing comma', '{"name":"x",}'],
    ['NaN', '{"name":"x","size":NaN}'],
    ['with a prototype in it', '{"name":"x","__proto__":{"admin":true}}'],
    ['with a constructor in it', '{"name":"x","constructor":{"prototype":{"admin":true}}}'],
    ['a hundred thousand levels deep', '['.repeat(100_000) + ']'.repeat(100_000)],
    ['deep, behind strings', `{"a\\"[[":"]]\\\\","b":${'[{"x":'.repeat(70)}1${'}]'.repeat(70)}}`],
    ['never closed', `${'{"a":'.repeat(100_000)}`],
  ])('%s: 422', async (_what, text) => {
    const { status, body } = await post(text)
    expect(status).toBe(422)
    expect(body.error).toMatchObject({ code: 'invalid_json', type: 'invalid_request_error' })
  })

  it('not there at all: 422', async () => {
    const { status, body } = await post(undefined, {})
    expect(status).toBe(422)
    expect(body.error.code).toBe('invalid_json')
  })

  it.each([
    ['text/plain', { 'content-type': 'text/plain' }],
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['nothing known', { 'content-type': '' }],
    ['nonsense', { 'content-type': ';;;' }],
  ])('of %s: 415', async (_what, headers) => {
    const { status, body } = await post(new TextEncoder().encode('{"name":"x"}'), headers)
    expect(status).toBe(415)
    expect(body.error.code).toBe('unsupported_media_type')
  })

  it('that is compressed, which nobody reads here: 415', async () => {
    const { url } = await startServer([echo])
    const headers = { ...asOwner, ...json }
    const asked = async (coding: string, body: BodyInit) =>
      fetch(`${url}/v1/echo`, {
        method: 'POST',
        headers: { ...headers, 'content-encoding': coding },
        body,
      })
    const refused = await asked('gzip', new Uint8Array(gzipSync('{"name":"x"}')))
    expect(refused.status).toBe(415)
    expect((await errorOf(refused)).error.message).toContain('not compressed')
    expect((await asked('identity', '{"name":"x"}')).status).toBe(200)
  })

  it('is taken with a charset', async () => {
    const headers = { 'content-type': 'application/json; charset=utf-8' }
    expect((await post('{"name":"ü"}', headers)).status).toBe(200)
  })

  it.each([
    ['{}', 'name', 'missing_required_parameter'],
    ['{"name":5}', 'name', 'invalid_type'],
    ['[]', null, 'invalid_type'],
    ['{"name":"x","size":10}', 'size', 'invalid_value'],
    ['{"name":"x","size":1.5}', 'size', 'invalid_type'],
    ['{"name":"x","color":"red"}', 'color', 'unknown_parameter'],
    ['{"name":"x","list":[{"kind":"a"},{"kind":"c"}]}', 'list[1].kind', 'invalid_value'],
    ['{"name":"x","list":[{}]}', 'list[0].kind', 'missing_required_parameter'],
  ])('%s: 400 that names %s', async (text, param, code) => {
    const { status, body } = await post(text)
    expect(status).toBe(400)
    expect(body.error).toMatchObject({ param, code, type: 'invalid_request_error' })
  })
})

describe('a URL', () => {
  it('that is not well encoded, or has an endless part, is a 400', async () => {
    const route: RouteModule = (app) => {
      app.get('/v1/models/:id', { config: { access: 'public' } }, ({ params }) => params as object)
    }
    const { url } = await startServer([route])
    for (const path of ['/v1/models/%zz', `/v1/models/${'x'.repeat(600)}`]) {
      const answer = await fetch(url + path)
      expect(answer.status).toBe(400)
      const { error, request_id } = await errorOf(answer)
      expect(error.code).toBe('invalid_url')
      expect(request_id).toBe(answer.headers.get('x-request-id'))
    }
    const decoded = await fetch(`${url}/v1/models/org%2Fllama3.2:3b`)
    expect(await decoded.json()).toEqual({ id: 'org/llama3.2:3b' })
  })
})
