import { describe, expect, it } from 'vitest'
import { startProductServer } from './product-server.ts'

type Server = Awaited<ReturnType<typeof startProductServer>>
type Json = Record<string, unknown>

async function begun(server: Server, message: string, key = 'ann'): Promise<string> {
  const body = { model: 'test-chat', message }
  const response = await server.call('POST', '/chat/completions', body, key)
  return ((await response.json()) as { session_id: string }).session_id
}

const call = async (server: Server, method: string, path: string, body?: unknown, key = 'ann') => {
  const response = await server.call(method, `/chat/sessions${path}`, body, key)
  return { status: response.status, body: (await response.json()) as Json }
}

describe('sessions', () => {
  it('are listed page by page, for their account alone', async () => {
    const server = await startProductServer()
    const ids: string[] = []
    for (let n = 0; n < 5; n++) ids.push(await begun(server, `Title ${n}`))
    await begun(server, 'Other', 'bob')
    const seen: string[] = []
    for (let query = '?limit=2&order=asc'; ; ) {
      const { body } = await call(server, 'GET', query)
      seen.push(...(body.data as { id: string }[]).map(({ id }) => id))
      if (body.has_more === false) break
      query = `?limit=2&order=asc&after=${body.last_id}`
    }
    expect(seen.toSorted()).toEqual(ids.toSorted())
    const { body } = await call(server, 'GET', '', undefined, 'bob')
    expect(body).toMatchObject({ object: 'list', has_more: false, data: [{ title: 'Other' }] })
    expect((body.data as Json[])[0]).not.toHaveProperty('messages')
  })

  it('are given another title, and deleted', async () => {
    const server = await startProductServer()
    const id = await begun(server, 'Hello')
    const renamed = await call(server, 'PATCH', `/${id}`, { title: 'Eggs' })
    expect(renamed).toMatchObject({ status: 200, body: { id, title: 'Eggs', message_count: 2 } })
    for (const body of [{}, { title: '' }, { title: 'a\nb' }, { title: 'x', model: 'y' }]) {
      expect((await call(server, 'PATCH', `/${id}`, body)).status).toBe(400)
    }
    expect(await call(server, 'DELETE', `/${id}`)).toEqual({
      status: 200,
      body: { id, object: 'chat.session', deleted: true },
    })
    expect((await call(server, 'GET', `/${id}`)).status).toBe(404)
    expect((await call(server, 'DELETE', `/${id}`)).status).toBe(404)
  })

  it('are what never was to another account', async () => {
    const server = await startProductServer()
    const id = await begun(server, 'Secret')
    const never = `sess_${'0'.repeat(26)}`
    for (const [method, body] of [
      ['GET', undefined],
      ['PATCH', { title: 'Mine' }],
      ['DELETE', undefined],
    ] as const) {
      const answers = await Promise.all(
        [id, never, 'x', '%F0%9F%98%80', 'ann%2F..'].map(async (each) => {
          const answer = await call(server, method, `/${each}`, body, 'bob')
          return { ...answer, body: { ...(answer.body.error as Json), requestId: '' } }
        }),
      )
      for (const answer of answers) expect(answer).toEqual(answers[0])
      expect(answers[0]).toMatchObject({ status: 404, body: { code: 'not_found' } })
    }
    expect((await call(server, 'GET', `/${id}`)).body.title).toBe('Secret')
  })

  it('need their scopes', async () => {
    const server = await startProductServer()
    const id = await begun(server, 'Hello')
    expect((await call(server, 'GET', `/${id}`, undefined, 'looker')).status).toBe(200)
    expect((await call(server, 'DELETE', `/${id}`, undefined, 'looker')).status).toBe(403)
    expect((await call(server, 'PATCH', `/${id}`, { title: 'x' }, 'looker')).status).toBe(403)
    const body = { model: 'test-chat', message: 'x' }
    const response = await server.call('POST', '/chat/completions', body, 'looker')
    expect(response.status).toBe(403)
  })

  it('with many messages are shown from the end', async () => {
    const server = await startProductServer()
    const id = await begun(server, 'Hello')
    for (let n = 1; n < 130; n++) {
      const turn = await server.sessions.begin({
        ...{ account: 'ann', sessionId: id, model: 'test-chat', message: `m${n}` },
        ...{ instructions: undefined, clientRequestId: undefined },
      })
      const said = { content: `a${n}`, inputTokens: 1, outputTokens: 1, promptBytes: 1 }
      await turn.save({ ...said, status: 'completed' })
      turn.leave()
    }
    const indexes = (body: Json) => (body.messages as { index: number }[]).map(({ index }) => index)
    const { body } = await call(server, 'GET', `/${id}`)
    expect(body).toMatchObject({ message_count: 260, messages_has_more: true })
    expect(indexes(body)).toEqual(Array.from({ length: 200 }, (_, n) => n + 60))
    const rest = await call(server, 'GET', `/${id}?messages_before=60`)
    expect(rest.body.messages_has_more).toBe(false)
    expect(indexes(rest.body)).toEqual(Array.from({ length: 60 }, (_, n) => n))
    const none = await call(server, 'GET', `/${id}?messages_before=0`)
    expect(none.body).toMatchObject({ messages: [], messages_has_more: false })
    expect((await call(server, 'GET', `/${id}?messages_before=x`)).status).toBe(400)
    expect(indexes((await call(server, 'GET', `/${id}?messages_before=9999999`)).body)[0]).toBe(60)
  })

  it('with long messages are shown in parts that a peer can hold', async () => {
    const server = await startProductServer()
    const id = await begun(server, 'Hello')
    const content = 'x'.repeat(1_000_000)
    for (let n = 1; n < 9; n++) {
      const turn = await server.sessions.begin({
        ...{ account: 'ann', sessionId: id, model: 'test-chat', message: content },
        ...{ instructions: undefined, clientRequestId: undefined },
      })
      const said = { content, inputTokens: 1, outputTokens: 1, promptBytes: 1 }
      await turn.save({ ...said, status: 'completed' })
      turn.leave()
    }
    const shown: number[] = []
    for (let before = 18; before > 0; before = shown[0] ?? 0) {
      const { body } = await call(server, 'GET', `/${id}?messages_before=${before}`)
      const messages = body.messages as { index: number }[]
      expect(messages.length).toBeLessThanOrEqual(6)
      shown.unshift(...messages.map(({ index }) => index))
      expect(body.messages_has_more).toBe(shown[0] !== 0)
    }
    expect(shown).toEqual(Array.from({ length: 18 }, (_, n) => n))
  })
})

describe('the models of the product surface', () => {
  it('are shown to everybody', async () => {
    const server = await startProductServer()
    const response = await fetch(`${server.url}/models`)
    const { object, data } = (await response.json()) as { object: string; data: Json[] }
    expect([response.status, object]).toEqual([200, 'list'])
    expect(data.find(({ id }) => id === 'test-chat')).toMatchObject({
      ...{ display_name: 'test-chat', category: 'chat', api_status: 'available' },
      ...{ api_input_status: 'available_text', file_kinds: [], notices: [] },
      chat_capabilities: { streaming: true, sessions: true, context_length: 512 },
    })
    expect(data.find(({ id }) => id === 'test-embed')).toMatchObject({
      ...{ category: 'embedding', chat_capabilities: null },
    })
  })

  it('say which of them see images, in the words of /v1/models', async () => {
    const server = await startProductServer()
    const capabilities = ['chat', 'tools', 'vision']
    const others = { kind: 'chat', created: 1, nodes: 1, local: undefined } as const
    const unknown = { contextLength: undefined, embeddingLength: undefined, price: undefined }
    const common = { ...others, ...unknown, id: undefined }
    server.market.remote.push({ ...common, name: 'sees', capabilities })
    server.market.remote.push({ ...common, name: 'reads', capabilities: ['chat'] })
    const { data } = (await (await fetch(`${server.url}/models`)).json()) as { data: Json[] }
    expect(data.find(({ id }) => id === 'sees')).toMatchObject({
      ...{ capabilities, supported_api_inputs: ['text', 'image'] },
      ...{ api_input_status: 'available_url_input', url_input_supported: true },
    })
    expect(data.find(({ id }) => id === 'reads')).toMatchObject({
      ...{ capabilities: ['chat'], supported_api_inputs: ['text'] },
      ...{ api_input_status: 'available_text', url_input_supported: false },
    })
    expect(data.find(({ id }) => id === 'test-chat')).not.toHaveProperty('capabilities')
  })
})
