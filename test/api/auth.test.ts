import { describe, expect, it } from 'vitest'
import type { RouteModule } from '../../src/api/route.ts'
import { asOwner, errorOf, json, rawSocket, startServer } from './harness.ts'

const routes: RouteModule = (app) => {
  app.get('/open', { config: { access: 'public' } }, () => ({ ok: true }))
  app.get('/any', { config: { access: 'key' } }, ({ principal }) => ({ who: principal.account }))
  app.get('/me', { config: { access: 'inference' } }, ({ principal }) => ({ who: principal.keyId }))
  app.get('/api/v1/me', { config: { access: 'inference' } }, () => ({}))
  app.post('/upload', { config: { access: 'inference' } }, () => ({}))
  app.get('/careless', { config: { access: 'public' } }, ({ principal }) => principal)
}

describe('keys', () => {
  it('are taken from Authorization and from X-API-Key', async () => {
    const { url } = await startServer([routes])
    for (const headers of [
      { authorization: 'Bearer sk-owner' },
      { authorization: 'bearer   sk-owner' },
      { 'x-api-key': 'sk-owner' },
      { authorization: 'Bearer sk-owner', 'x-api-key': 'sk-nobody' },
    ]) {
      const answer = await fetch(`${url}/me`, { headers: new Headers(headers as never) })
      expect(await answer.json()).toEqual({ who: 'key_owner' })
    }
  })

  it('are not asked for where a route is public', async () => {
    const { url } = await startServer([routes])
    const answer = await fetch(`${url}/open`, { headers: { authorization: 'Bearer nonsense' } })
    expect(answer.status).toBe(200)
  })

  it.each([
    ['missing', {}, 'api_key_missing'],
    ['malformed', { authorization: 'sk-owner' }, 'api_key_invalid'],
    ['of another scheme', { authorization: 'Basic c2s6b3duZXI=' }, 'api_key_invalid'],
    ['empty', { authorization: 'Bearer ' }, 'api_key_invalid'],
    ['two in one', { authorization: 'Bearer sk-owner sk-owner' }, 'api_key_invalid'],
    ['unknown', { authorization: 'Bearer sk-nobody' }, 'api_key_invalid'],
    ['unknown, in X-API-Key', { 'x-api-key': 'sk-nobody' }, 'api_key_invalid'],
    ['revoked', { authorization: 'Bearer sk-revoked' }, 'api_key_revoked'],
    ['expired', { authorization: 'Bearer sk-expired' }, 'api_key_expired'],
  ])('%s: 401, in the words of each surface', async (_what, headers, productCode) => {
    const { url } = await startServer([routes])
    const answer = await fetch(`${url}/me`, { headers: new Headers(headers as never) })
    expect(answer.status).toBe(401)
    expect(answer.headers.get('x-should-retry')).toBe('false')
    const { error, request_id } = await errorOf(answer)
    expect(error).toMatchObject({
      type: 'authentication_error',
      code: 'invalid_api_key',
      param: null,
    })
    expect(error.message.length).toBeGreaterThan(10)
    expect(request_id).toBe(answer.headers.get('x-request-id'))
    const product = await fetch(`${url}/api/v1/me`, { headers: new Headers(headers as never) })
    expect(product.status).toBe(401)
    expect(await product.json()).toMatchObject({ error: { code: productCode } })
  })

  it('without the scope of the route: 403 that names it', async () => {
    const { url } = await startServer([routes])
    const headers = { authorization: 'Bearer sk-reader' }
    const answer = await fetch(`${url}/me`, { headers })
    expect(answer.status).toBe(403)
    const { error } = await errorOf(answer)
    expect(error).toMatchObject({ type: 'permission_error', code: 'insufficient_scope' })
    expect(error.message).toContain('inference')
    const product = await fetch(`${url}/api/v1/me`, { headers })
    expect(await product.json()).toMatchObject({ error: { code: 'api_scope_denied' } })
    expect(await (await fetch(`${url}/any`, { headers })).json()).toEqual({ who: 'reader' })
  })

  it('never reach the log or an answer', async () => {
    const { url, log } = await startServer([routes])
    const secret = 'sk-very-secret-indeed'
    const answer = await fetch(`${url}/me?key=${secret}`, {
      headers: { authorization: `Bearer ${secret}` },
    })
    expect(await answer.text()).not.toContain(secret)
    expect(JSON.stringify(log)).not.toContain(secret)
  })

  it('are checked before the body is read', async () => {
    const { url, port } = await startServer([routes])
    const socket = await rawSocket(port)
    socket.write(
      'POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n' +
        `Content-Length: ${20 * 1024 * 1024}\r\n\r\n{"first":"byte`,
    )
    const head = await new Promise<string>((resolve) => {
      socket.once('data', (data) => resolve(data.toString()))
    })
    expect(head).toMatch(/^HTTP\/1\.1 401 /)
    const body = '{"a":1}'
    const answer = await fetch(`${url}/upload`, {
      method: 'POST',
      headers: { ...asOwner, ...json },
      body,
    })
    expect(answer.status).toBe(200)
  })

  it('a public route that asks for its caller fails loudly, and says nothing outside', async () => {
    const { url, log } = await startServer([routes])
    const answer = await fetch(`${url}/careless`)
    expect(answer.status).toBe(500)
    expect((await errorOf(answer)).error.code).toBe('internal_error')
    expect(log.filter(({ level }) => level === 'error')).toHaveLength(1)
  })
})
