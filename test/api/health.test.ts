import { describe, expect, it } from 'vitest'
import { healthRoutes } from '../../src/api/health.ts'
import { PromMetrics } from '../../src/api/metrics.ts'
import { systemClock } from '../../src/base/clock.ts'
import type { ModelStatus } from '../../src/engines/engine.ts'
import { StorageFailedError } from '../../src/storage/errors.ts'
import { asOwner, startServer } from './harness.ts'

const model = (more: Partial<ModelStatus> = {}): ModelStatus => ({
  name: 'pinaivu-demo',
  state: 'ready',
  created: 1_700_000_000,
  demo: true,
  running: 0,
  queued: 0,
  ...more,
})

async function start(
  models: ModelStatus[],
  { loopback = true, failure }: { loopback?: boolean; failure?: StorageFailedError } = {},
) {
  const network = {
    status: () => ({
      peerId: '12D3KooWTest',
      addrs: ['/ip4/127.0.0.1/tcp/7463/p2p/12D3KooWTest'],
      connections: 3,
      listening: true,
      nat: { verdict: 'private' as const, relays: ['12D3KooWRelay'] },
    }),
  }
  const metrics = new PromMetrics()
  metrics.counter('pinaivu_test_total', 'A test.').add(2)
  const engine = { status: () => models }
  const store = { failure }
  const directory = { all: () => [] }
  const { url } = await startServer([
    healthRoutes(
      { engine, store, network, directory, metrics, clock: systemClock },
      { version: '0.1.0', loopback, joins: { network: 'test', bootstrap: 1, mdns: false } },
    ),
  ])
  const ready = async () => {
    const answer = await fetch(`${url}/readyz`)
    return { status: answer.status, headers: answer.headers, body: (await answer.json()) as object }
  }
  return { url, ready }
}

describe('healthz', () => {
  it('is ok as soon as the server listens, whatever the models do', async () => {
    const { url } = await start([model({ state: 'failed' })])
    const answer = await fetch(`${url}/healthz`)
    expect(answer.status).toBe(200)
    expect(await answer.json()).toEqual({ status: 'ok' })
  })
})

describe('readyz', () => {
  it('is 503 while every model loads, and says how far they are', async () => {
    const { ready } = await start([
      model({ state: 'loading', progress: 0.25 }),
      model({ name: 'second', state: 'waiting' }),
    ])
    const { status, headers, body } = await ready()
    expect(status).toBe(503)
    expect(headers.get('retry-after')).toBe('1')
    expect(headers.get('content-type')).toContain('application/json')
    expect(body).toMatchObject({
      ready: false,
      models: [
        { name: 'pinaivu-demo', state: 'loading', progress: 0.25, slots: null },
        { name: 'second', state: 'waiting', progress: null },
      ],
    })
  })

  it('is 503 when the disk takes nothing more, whatever the models do', async () => {
    const failure = new StorageFailedError('unknown', new Error('ENOSPC'))
    const { ready } = await start([model()], { failure })
    const { status, body } = await ready()
    expect(status).toBe(503)
    expect(body).toMatchObject({ ready: false, storage: 'failed' })
  })

  it('is 200 with one model ready, and has every figure in snake case', async () => {
    const { ready } = await start([
      model({ name: 'broken', state: 'failed', error: { code: 'bad_gguf', message: '/a/b.gguf' } }),
      model({
        slots: 4,
        threads: 2,
        tokensPerSecond: 41.5,
        facts: {
          kind: 'chat',
          architecture: 'llama',
          parameters: 1e8,
          quant: 'Q8_0',
          sizeBytes: 5,
          contextLength: 2048,
          vocabularySize: 10,
          embeddingLength: 20,
        },
      }),
    ])
    const { status, body } = await ready()
    expect(status).toBe(200)
    expect(body).toEqual({
      ready: true,
      version: '0.1.0',
      uptime_s: expect.any(Number),
      memory_bytes: expect.any(Number),
      storage: 'ok',
      network: {
        ...{ name: 'test', bootstrap: 1, mdns: false },
        peer_id: '12D3KooWTest',
        addrs: ['/ip4/127.0.0.1/tcp/7463/p2p/12D3KooWTest'],
        connections: 3,
        listening: true,
        nat: { verdict: 'private', relays: ['12D3KooWRelay'] },
        directory: { peers: 0 },
      },
      models: [
        expect.objectContaining({ error: { code: 'bad_gguf', message: '/a/b.gguf' } }),
        {
          name: 'pinaivu-demo',
          id: null,
          kind: 'chat',
          state: 'ready',
          unloaded: false,
          demo: true,
          created: 1_700_000_000,
          running: 0,
          queued: 0,
          slots: 4,
          threads: 2,
          tokens_per_second: 41.5,
          progress: null,
          architecture: 'llama',
          parameters: 1e8,
          quant: 'Q8_0',
          size_bytes: 5,
          context_length: 2048,
          error: null,
        },
      ],
    })
  })

  it('is 200 when no model is configured', async () => {
    const { ready } = await start([])
    expect((await ready()).status).toBe(200)
  })

  it('keeps paths to itself where others than this machine can ask', async () => {
    const error = { code: 'bad_gguf', message: '/home/somebody/b.gguf' }
    const { ready } = await start([model({ state: 'failed', error })], { loopback: false })
    const { body } = await ready()
    expect(JSON.stringify(body)).not.toContain('somebody')
    expect(body).toMatchObject({ models: [{ error: { code: 'bad_gguf', message: null } }] })
  })
})

describe('metrics', () => {
  it('are Prometheus text, of the process and of the rooms', async () => {
    const { url } = await start([])
    const answer = await fetch(`${url}/metrics`)
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=/)
    const text = await answer.text()
    expect(text).toContain('pinaivu_test_total 2')
    expect(text).toMatch(/^process_resident_memory_bytes \d+$/m)
  })

  it('need a key where others than this machine can ask', async () => {
    const { url } = await start([], { loopback: false })
    expect((await fetch(`${url}/metrics`)).status).toBe(401)
    expect((await fetch(`${url}/metrics`, { headers: asOwner })).status).toBe(200)
  })
})
