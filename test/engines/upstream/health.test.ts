import { describe, expect, it } from 'vitest'
import { advertModel, modelLoad } from '../../../src/engines/advert-facts.ts'
import { fakeOllama } from './fake-ollama.ts'
import { FakeServer, json } from './fake-server.ts'
import { fakeVllm, VLLM_WORDS } from './fake-vllm.ts'
import { answer, engineOver, fault, jobOf, readyEngine, until } from './stage.ts'

const soon = { readyMs: 20 }

describe('a server that somebody else runs', () => {
  it('may come later: its model is there at once, and says what to do', async () => {
    const server = await fakeVllm().start()
    const { port } = server
    await server.stop()
    const engine = await engineOver(server)
    expect(engine.status()).toMatchObject([{ name: 'up', state: 'loading' }])
    const [failed] = await until(engine, ([first]) => first?.state === 'failed')
    expect(failed?.error).toEqual({
      code: 'upstream_unreachable',
      message: 'The server behind it cannot be reached. Start it, or check the URL of --upstream.',
    })
    expect(await fault(engine)).toMatchObject({ code: 'model_failed' })
    await server.start(port)
    await until(engine, ([first]) => first?.state === 'ready')
    expect((await answer(engine)).text).toBe(VLLM_WORDS.join(''))
  })

  it('has whoever asks meanwhile wait until it is known', async () => {
    const looked = Promise.withResolvers<void>()
    const server = fakeVllm()
    const { answer: rest } = server
    server.answer = async (asked, response) => {
      if (asked.path === '/v1/models') await looked.promise
      await rest(asked, response)
    }
    const engine = await engineOver(await server.start())
    const answered = answer(engine)
    expect(engine.status()[0]?.state).toBe('loading')
    looked.resolve()
    expect((await answered).text).toBe(VLLM_WORDS.join(''))
  })

  it('and goes is noticed by the next job, and by nobody’s when it comes back', async () => {
    const server = await fakeVllm().start()
    const { port } = server
    // Nobody looks at it in between.
    const engine = await readyEngine(server, { readyMs: 1_000_000 })
    await server.stop()
    expect(await fault(engine)).toMatchObject({ code: 'model_failed' })
    const [gone] = await until(engine, ([first]) => first?.state === 'failed')
    expect(gone && advertModel(gone)).toBeUndefined()
    await server.start(port)
    const [back] = await until(engine, ([first]) => first?.state === 'ready')
    expect(back && modelLoad(back)).toMatchObject({ ready: true, slots: 64 })
    expect((await answer(engine)).text).toBe(VLLM_WORDS.join(''))
  })

  it.each([
    [401, {}, 'upstream_unauthorized', /PINAIVU_UPSTREAM_KEY_/],
    [404, {}, 'upstream_not_openai', /Check the URL/],
    [500, {}, 'upstream_failing', /answers 500/],
    [200, { models: [] }, 'upstream_not_openai', /Check the URL/],
    [200, { data: [] }, 'upstream_empty', /Load one/],
    [200, { data: [{ id: 7 }, { id: '' }] }, 'upstream_empty', /Load one/],
    [200, { data: [{ id: 'other' }] }, 'upstream_model_missing', /behind #/],
  ])('and answers %i and %j has no model here', async (status, body, code, message) => {
    const server = await new FakeServer((_, response) => json(response, body, status)).start()
    const engine = await readyEngine(server, { model: 'wanted' })
    expect(engine.status()).toMatchObject([
      { name: 'up', state: 'failed', error: { code, message: expect.stringMatching(message) } },
    ])
    expect(engine.status()[0]?.error?.message).not.toContain(String(server.port))
  })

  it('and answers with a page, or without an end, has none either', async () => {
    for (const text of ['<html></html>', 'x'.repeat(3_000_000)]) {
      const server = await new FakeServer((_, response) => void response.end(text)).start()
      const engine = await readyEngine(server)
      expect(engine.status()).toMatchObject([{ error: { code: 'upstream_not_openai' } }])
    }
  })

  it('changes its models: the new one is served, and the old one no more', async () => {
    const server = fakeOllama()
    const { answer: rest } = server
    let ids = ['llama3.2:1b', 'all-minilm:latest']
    server.answer = (asked, response) => {
      if (asked.path !== '/v1/models') return rest(asked, response)
      json(response, { data: ids.map((id) => ({ id, owned_by: 'library' })) })
    }
    const engine = await readyEngine(await server.start(), soon)
    const states: string[] = []
    engine.onChange(({ name, state }) => states.push(`${name} ${state}`))
    ids = ['llama3.2:1b', 'mistral-nemo']
    await until(engine, (all) => all.some(({ name }) => name === 'up/mistral-nemo'))
    expect(engine.status().map(({ name }) => name)).toEqual(['up/llama3.2:1b', 'up/mistral-nemo'])
    expect(states).toContain('up/all-minilm:latest failed')
    const gone = jobOf(undefined, { model: 'up/all-minilm:latest' })
    expect(await fault(engine, gone)).toMatchObject({ code: 'model_not_found' })
  })

  it('lists names that are none: they are made some, or left out', async () => {
    const ids = ['../models/a b.gguf', '///', 'org/Model@main', 'x'.repeat(300), 'y'.repeat(200)]
    const server = await new FakeServer(({ path }, response) => {
      if (path === '/v1/models') json(response, { data: ids.map((id) => ({ id })) })
      else response.writeHead(404).end()
    }).start()
    const engine = await readyEngine(server)
    expect(engine.status().map(({ name }) => name)).toEqual([
      'up/models/a-b.gguf',
      'up/org/Model-main',
    ])
  })

  it('is left alone when nothing has changed, and examined once', async () => {
    const server = await fakeVllm().start()
    await readyEngine(server, soon)
    const lists = () => server.asked.filter(({ path }) => path === '/v1/models').length
    await expect.poll(lists).toBeGreaterThan(3)
    expect(server.asked.filter(({ path }) => path === '/v1/embeddings')).toHaveLength(1)
  })

  it('is one of several, of which each is found by its name', async () => {
    const [one, two] = [await fakeVllm({ words: ['one'] }).start(), await fakeVllm().start()]
    const engine = await readyEngine([one, two])
    expect((await answer(engine)).text).toBe('one')
    const other = await answer(engine, jobOf(undefined, { model: 'up2' }))
    expect(other.text).toBe(VLLM_WORDS.join(''))
    expect(await fault(engine, jobOf(undefined, { model: 'up3' }))).toMatchObject({
      code: 'model_not_found',
    })
  })

  it('gets no more jobs at once than it has slots', async () => {
    let running = 0
    let most = 0
    const server = await fakeVllm({
      pace: async (chunk) => {
        if (chunk === 0) most = Math.max(most, ++running)
        await new Promise((resolve) => setImmediate(resolve))
        if (chunk === VLLM_WORDS.length - 1) running--
      },
    }).start()
    const engine = await readyEngine(server, { slots: 2 })
    await Promise.all(Array.from({ length: 6 }, () => answer(engine)))
    expect(most).toBe(2)
    expect(engine.status()).toMatchObject([{ running: 0, queued: 0, slots: 2 }])
    expect(engine.status()[0]?.tokensPerSecond).toBeGreaterThan(0)
  })
})
