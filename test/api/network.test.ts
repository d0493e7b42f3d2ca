import { describe, expect, it } from 'vitest'
import { networkRoutes } from '../../src/api/network.ts'
import type { ActivityFigures } from '../../src/market/activity.ts'
import type { MarketModel } from '../../src/market/market.ts'
import type { DirectoryEntry } from '../../src/network/discovery/directory.ts'
import type { Advert } from '../../src/wire/advert.ts'
import { FakeClock } from '../base/fake-clock.ts'
import { startServer } from './harness.ts'

const GIB = 1024 ** 3
const quiet: ActivityFigures = {
  windowS: 60,
  tps: { now: 0, peak: 0 },
  requests: { inFlight: 0, last60s: 0, failed60s: 0 },
  countries: [],
  firstTokenMs: undefined,
  speculation: { runs: 0, acceptance: undefined },
}

const advert = (peerId: string, more: Partial<Advert> = {}): Advert => ({
  peerId,
  sequence: 1,
  ttlS: 60,
  addresses: ['/ip4/192.0.2.7/tcp/7463'],
  roles: ['provider'],
  hardware: {
    gpus: [{ name: 'NVIDIA H200', vramTotalBytes: 141 * GIB, vramFreeBytes: 100 * GIB }],
    cpu: 'AMD EPYC',
    cpuThreads: 16,
    ramBytes: 128 * GIB,
    backend: 'cuda',
  },
  models: [
    {
      name: 'phi-4',
      id: 'cid:bafkrei',
      kind: 'chat',
      family: 'phi3',
      parameters: 14_000_000_000,
      quant: 'Q4_K_M',
      contextLength: 16_384,
      embeddingLength: 0,
      capabilities: ['chat'],
      slots: 4,
      price: { input: 40, output: 120 },
    },
  ],
  version: '0.1.0',
  ...more,
})

const entry = (peerId: string, more: Partial<DirectoryEntry> = {}): DirectoryEntry => ({
  peerId,
  advert: advert(peerId),
  status: undefined,
  heardAt: 0,
  connected: false,
  rttMs: undefined,
  ...more,
})

async function start(
  entries: DirectoryEntry[] = [],
  figures: ActivityFigures = quiet,
  counts = { total: 0, lastDay: 0 },
) {
  const clock = new FakeClock()
  let asked = 0
  const directory = {
    all: () => {
      asked++
      return entries
    },
  }
  const model = { name: 'phi-4', nodes: 2 } as MarketModel
  const { url } = await startServer([
    networkRoutes({
      identity: { peerId: 'self' },
      describe: () => advert('self', { region: 'DE', models: [] }),
      load: () => [],
      directory,
      market: { models: () => [model], activity: () => figures },
      feeds: { countReceipts: async () => counts },
      clock,
    }),
  ])
  const get = async (path: string) => await (await fetch(`${url}${path}`)).json()
  return { url, clock, entries, get, asked: () => asked }
}

const summary = '/v8/network/summary'
const peers = '/v8/network/peers'

describe('the summary of the network', () => {
  it('is that of one peer which nobody asked anything, in zeros and nulls', async () => {
    const { get } = await start()
    expect(await get(summary)).toEqual({
      object: 'network.summary',
      generated_at: '2027-01-15T08:00:00.000Z',
      window_s: 60,
      online_nodes: 1,
      tracked_nodes: 1,
      tps: { now: 0, peak: 0 },
      requests: { in_flight: 0, last_60s: 0, failed_60s: 0 },
      regions: [{ country: 'DE', nodes: 1, tps: 0, share: null }],
      models: [{ id: 'phi-4', nodes: 2 }],
      latency_ms: { ttft_p50: null, ttft_p95: null },
      speculative: { runs_of_last_32: 0, acceptance: null },
      receipts: { total: 0, last_24h: 0 },
    })
  })

  it('has what was measured, by declared country, also where nobody is any more', async () => {
    const { get } = await start(
      [entry('a', { advert: advert('a', { region: 'CA' }) }), entry('b')],
      {
        windowS: 60,
        tps: { now: 41.23, peak: 120.34 },
        requests: { inFlight: 3, last60s: 18, failed60s: 1 },
        countries: [
          { country: 'CA', tps: 30 },
          { country: 'FR', tps: 10 },
        ],
        firstTokenMs: { p50: 280.04, p95: 900 },
        speculation: { runs: 5, acceptance: 0.82 },
      },
      { total: 10_412, lastDay: 812 },
    )
    expect(await get(summary)).toMatchObject({
      online_nodes: 3,
      tps: { now: 41.2, peak: 120.3 },
      requests: { in_flight: 3, last_60s: 18, failed_60s: 1 },
      regions: [
        { country: 'CA', nodes: 1, tps: 30, share: 0.75 },
        { country: 'FR', nodes: 0, tps: 10, share: 0.25 },
        { country: 'DE', nodes: 1, tps: 0, share: 0 },
        { country: null, nodes: 1, tps: 0, share: 0 },
      ],
      latency_ms: { ttft_p50: 280, ttft_p95: 900 },
      speculative: { runs_of_last_32: 5, acceptance: 0.82 },
    })
  })
})

describe('the list of peers', () => {
  it('begins with this one, and tells what each says of itself and how old that is', async () => {
    const load = { id: 'cid:bafkrei', ready: true, slots: 3, running: 2, queued: 1 }
    const status = {
      advertSequence: 1,
      draining: false,
      models: [{ ...load, tokensPerSecond: 41.53 }],
    }
    const { get, clock } = await start([
      entry('far'),
      entry('near', { connected: true, rttMs: 1.26, status, heardAt: 500 }),
    ])
    await clock.advance(2000)
    const { data, total, has_more } = (await get(peers)) as { data: object[]; [k: string]: unknown }
    expect({ total, has_more }).toEqual({ total: 3, has_more: false })
    expect(data[0]).toMatchObject({
      node: 'self',
      self: true,
      region: 'DE',
      connected: true,
      rtt_ms: 0,
      evidence_age_s: 0,
    })
    expect(data[1]).toEqual({
      node: 'near',
      self: false,
      region: null,
      roles: ['provider'],
      version: '0.1.0',
      hardware: {
        gpus: [{ name: 'NVIDIA H200', vram_total_bytes: 141 * GIB, vram_free_bytes: 100 * GIB }],
        cpu: 'AMD EPYC',
        cpu_threads: 16,
        ram_bytes: 128 * GIB,
        backend: 'cuda',
      },
      models: [
        {
          id: 'phi-4',
          content_id: 'cid:bafkrei',
          kind: 'chat',
          family: 'phi3',
          parameters: 14_000_000_000,
          quant: 'Q4_K_M',
          context_length: 16_384,
          capabilities: ['chat'],
          price: { input: 40, output: 120 },
          slots: 3,
          load: { ready: true, running: 2, queued: 1, tokens_per_second: 41.5 },
        },
      ],
      connected: true,
      rtt_ms: 1.3,
      evidence_age_s: 1.5,
    })
    expect(data[2]).toMatchObject({
      node: 'far',
      connected: false,
      rtt_ms: null,
      evidence_age_s: 2,
      models: [{ slots: 4, load: null }],
    })
    expect(JSON.stringify(data)).not.toContain('192.0.2.7')
  })

  it('has an end', async () => {
    const { get } = await start(Array.from({ length: 2000 }, (_, at) => entry(`peer${at}`)))
    const { data, total, has_more } = (await get(peers)) as { data: []; [k: string]: unknown }
    expect(data).toHaveLength(500)
    expect({ total, has_more }).toEqual({ total: 2001, has_more: true })
  })
})

it.each([summary, peers])('%s is made once a second, however many ask', async (path) => {
  const { get, clock, asked, entries } = await start()
  const first = await get(path)
  entries.push(entry('late'))
  await clock.advance(999)
  const again = await Promise.all(Array.from({ length: 20 }, () => get(path)))
  expect(again).toEqual(Array(20).fill(first))
  expect(asked()).toBe(1)
  await clock.advance(1)
  expect(JSON.stringify(await get(path))).not.toBe(JSON.stringify(first))
  expect(asked()).toBe(2)
})

it.each([summary, peers])('%s is open to every page, without a key', async (path) => {
  const { url } = await start()
  const answer = await fetch(`${url}${path}`, { headers: { origin: 'https://example.org' } })
  expect(answer.status).toBe(200)
  expect(answer.headers.get('access-control-allow-origin')).toBe('*')
  expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8')
})
