import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { scopes } from '../../src/accounts/principal.ts'
import { bodies, forms, formType, nameOf, type RouteStage, startRouteStage } from './route-stage.ts'
import type { Operation } from './whole-peer.ts'

/** POSTs that may be sent twice as they are. */
const repeatable: readonly string[] = []

/** What no other account's thing is behind: who asks says what is not there. */
const absent: Record<string, string> = {
  'GET /v1/models/{path}': '/v1/models/no-such-model',
  'GET /v8/log/{author}': '/v8/log/12D3KooWQYzWbKBFmnJxMHyvqMRgMPDhPxDZdNRGnbvxbWvQyDDj',
  'GET /v8/receipts/{cid}': `/v8/receipts/ryv1:sha256:${'0'.repeat(64)}`,
  'GET /v8/receipts/{cid}/lineage': `/v8/receipts/ryv1:sha256:${'0'.repeat(64)}/lineage`,
}

/** Every one of these that a route says it may refuse with was met here, or is in `elsewhere`. */
const told = [401, 402, 403, 404, 409, 413, 415, 422, 429]
/** A link has a signature, with which files.test.ts asks for what is gone. */
const elsewhere = ['GET /api/v1/files/{id}/download 404']

let stage: RouteStage

beforeAll(async () => {
  stage = await startRouteStage()
})
afterAll(() => stage.stop())

const takesIdempotencyKey = ({ parameters = [] }: Operation) =>
  parameters.some(({ name }) => name === 'Idempotency-Key')

describe('every route', () => {
  it('with a body is in these tables', () => {
    const taking = (type: string) => stage.taking(type).map(nameOf).sort()
    expect(taking('application/json')).toEqual(Object.keys(bodies).sort())
    expect(taking('multipart/form-data')).toEqual(Object.keys(forms).sort())
  })

  it('that makes or charges something takes an Idempotency-Key', () => {
    const posts = stage.operations.filter(({ method }) => method === 'POST')
    const without = posts.filter((operation) => !takesIdempotencyKey(operation))
    expect(without.map(nameOf)).toEqual(repeatable)
  })

  it('that needs a key: 401 without one, or with one that never was, is revoked or expired', async () => {
    const revoked = await stage.make('POST /api/v1/auth/api-keys', stage.owner, { name: 'x' })
    const gone = { method: 'DELETE', path: `/api/v1/auth/api-keys/${revoked.id}` }
    await stage.ask({ ...gone, key: stage.owner })
    const rotated = await stage.make('POST /api/v1/auth/api-keys', stage.owner, { name: 'x' })
    const rotate = `POST /api/v1/auth/api-keys/${rotated.id}/rotate`
    await stage.make(rotate, stage.owner, { overlap_seconds: 0 })
    const none = [undefined, 'x', `sk-pnv-${'0'.repeat(43)}`, revoked.key, rotated.key]
    for (const operation of stage.withKey()) {
      for (const key of none) {
        stage.refused(operation, await stage.ask({ ...stage.to(operation), key }), 401)
      }
    }
  })

  it('by another name than those of this peer: 403', async () => {
    for (const operation of stage.operations) {
      const asked = { ...stage.to(operation), headers: { host: 'rebound.example' } }
      stage.refused(operation, await stage.ask(asked), 403)
    }
  })

  it('that needs a scope: 403 without it, before anything is looked at', async () => {
    for (const operation of stage.withKey()) {
      const { 'x-scope': scope } = operation
      if (scope === undefined) continue
      const key = await stage.newKey({ scopes: scopes.filter((each) => each !== scope) })
      const answer = await stage.ask({ ...stage.to(operation), key })
      stage.refused(operation, answer, 403)
      expect(answer.text).toContain(scope)
    }
  })

  it('with a limited key: 429 that says when', async () => {
    for (const operation of stage.withKey()) {
      const key = await stage.newKey({ scopes: [...scopes], rpm_limit: 1 })
      const { body: _unread, ...rest } = stage.to(operation)
      const first = await stage.ask({ ...stage.to(operation), key })
      expect(first.headers['x-ratelimit-remaining-requests']).toBe('0')
      const answer = await stage.ask({ ...rest, key })
      stage.refused(operation, answer, 429)
      const after = Number(answer.headers['retry-after'])
      expect([nameOf(operation), after > 0 && after <= 60]).toEqual([nameOf(operation), true])
      expect(answer.headers['x-should-retry']).toBe('true')
    }
  })

  it('that charges: 402 for an account without credits, before any work', async () => {
    const key = await stage.newKey({ account: 'poor', scopes: [...scopes] })
    const charging = stage.refusingWith(402)
    const working = stage.withKey().filter(({ 'x-scope': scope, method }) => {
      return method === 'POST' && ['inference', 'chat:create'].includes(scope ?? '')
    })
    expect(charging).toEqual(working)
    const jobs = stage.engine.jobs.length
    for (const operation of charging) {
      const answer = await stage.ask({ ...stage.to(operation), key })
      stage.refused(operation, answer, 402)
      expect(answer.headers['x-should-retry']).toBe('false')
    }
    expect(stage.engine.jobs).toHaveLength(jobs)
  })

  it('of something that is not there: 404', async () => {
    for (const operation of stage.refusingWith(404)) {
      const name = nameOf(operation)
      if (elsewhere.includes(`${name} 404`)) continue
      const asked = { ...stage.to(operation), key: stage.owner }
      const [body] = bodies[name] ?? []
      const model = body !== undefined && 'model' in body && { ...body, model: 'no-such-model' }
      const path = absent[name] ?? asked.path
      const answer = await stage.ask({
        ...asked,
        path,
        ...(model && { body: JSON.stringify(model) }),
      })
      stage.refused(operation, answer, 404)
    }
  })

  it('with a body: 413, 415, 422 and 400 for what is too large, of a kind, cut off or unknown', async () => {
    for (const operation of stage.taking('application/json')) {
      const asked = await stage.toOwn(operation)
      const good = String(asked.body)
      const send = async (body: string, status: number, headers = {}) =>
        stage.refused(operation, await stage.ask({ ...asked, body, headers }), status)
      await send('', 413, { 'content-length': '99999999', expect: '100-continue' })
      await send(good, 415, { 'content-type': 'text/plain' })
      await send(good, 415, { 'content-type': formType })
      await send(good.slice(0, -1), 422)
      await send('[', 422)
      await send(JSON.stringify({ ...JSON.parse(good), no_such_field: 1 }), 400)
      await send('[]', 400)
    }
  })

  it('without a body: 413, 415 and 422 for one that is sent all the same', async () => {
    const others = stage.operations.filter(
      ({ method, requestBody }) => method !== 'GET' && requestBody === undefined,
    )
    for (const operation of others) {
      const send = async (body: string, status: number, headers = {}) => {
        const asked = { ...stage.to(operation), key: stage.owner, body, headers }
        stage.refused(operation, await stage.ask(asked), status)
      }
      await send('', 413, { 'content-length': '99999999', expect: '100-continue' })
      await send('a', 415, { 'content-type': 'text/plain' })
      await send('[', 422)
    }
  })

  it('with a form: 413, 415 and 400 for what is too large, of a kind or cut off', async () => {
    for (const operation of stage.taking('multipart/form-data')) {
      const asked = await stage.toOwn(operation)
      const good = asked.body as Buffer
      const send = async (body: string | Buffer, status: number, headers = {}) => {
        const all = { ...asked.headers, ...headers }
        stage.refused(operation, await stage.ask({ ...asked, body, headers: all }), status)
      }
      await send('', 413, { 'content-length': '99999999999', expect: '100-continue' })
      await send('{}', 415, { 'content-type': 'application/json' })
      await send(good.subarray(0, good.length / 2), 400)
      await send('', 400)
    }
  })

  it('that takes an Idempotency-Key: the same again, 409 for another body, 400 for no key', async () => {
    for (const operation of stage.operations.filter(takesIdempotencyKey)) {
      const name = nameOf(operation)
      const [, other] = forms[name] ?? bodies[name] ?? []
      const asked = { body: '{}', ...(await stage.toOwn(operation)) }
      const headers = { ...asked.headers, 'idempotency-key': name.replaceAll(' ', '-') }
      const first = await stage.ask({ ...asked, headers })
      expect([name, first.status < 300]).toEqual([name, true])
      const again = await stage.ask({ ...asked, headers })
      expect([again.status, again.text]).toEqual([first.status, first.text])
      expect(again.headers['idempotency-replayed']).toBe('true')
      const another = other instanceof Buffer ? other : JSON.stringify(other ?? { a: 1 })
      const conflict = await stage.ask({ ...asked, headers, body: another })
      stage.refused(operation, conflict, 409)
      expect(conflict.headers['x-should-retry']).toBe('false')
      const none = { ...asked, headers: { ...headers, 'idempotency-key': '' } }
      stage.refused(operation, await stage.ask(none), 400)
    }
  })

  it("that would lock the owner out: 409 for the owner's own key", async () => {
    const me = await stage.ask({ method: 'GET', path: '/api/v1/auth/me', key: stage.owner })
    const { key } = JSON.parse(me.text) as { key: { id: string } }
    for (const operation of stage.operations) {
      const { method, path } = operation
      if (method === 'GET' || !path.startsWith('/api/v1/auth/api-keys/{id}')) continue
      const asked = { ...stage.to(operation, key.id), key: stage.owner }
      stage.refused(operation, await stage.ask(asked), 409)
    }
  })

  it('was refused here in all the ways that it tells of', () => {
    const all = told.flatMap((status) =>
      stage.refusingWith(status).map((operation) => `${nameOf(operation)} ${status}`),
    )
    expect(all.filter((each) => !stage.met.has(each) && !elsewhere.includes(each))).toEqual([])
  })
})
