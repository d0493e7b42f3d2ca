import { describe, expect, it } from 'vitest'
import { fakePeer, json, stage } from './stage.ts'

const path = 'GET /v8/network/peers'

const self = {
  id: '12D3KooWSelfAAAAAAAA',
  self: true,
  version: '0.1.0',
  roles: ['coordinator'],
  region: null,
  hardware: { gpus: [], cpu: 'A processor', cpu_threads: 2, ram_bytes: 8 * 1024 ** 3 },
  models: [],
  connected: true,
  rtt_ms: null,
  evidence_age_s: null,
}

const other = {
  id: '12D3KooWOtherBBBBBBBB',
  self: false,
  version: '0.1.0',
  roles: ['provider'],
  region: 'DE',
  hardware: {
    gpus: [{ name: 'A card', vram_total_bytes: 80 * 1024 ** 3 }],
    ...{ cpu: 'A processor', cpu_threads: 64, ram_bytes: 512 * 1024 ** 3 },
  },
  models: [
    {
      ...{ name: 'phi-4', id: 'cid:bafk', price: { input: 40, output: 120 } },
      ...{ slots: 4, running: 4, queued: 2 },
    },
    {
      ...{ name: 'tinyllama', id: 'cid:bafl', price: { input: 40, output: 120 } },
      ...{ slots: 8, running: 1, queued: 0 },
    },
  ],
  connected: true,
  rtt_ms: 0.8123,
  evidence_age_s: 3.4,
}

const listed = (...data: unknown[]) => ({ [path]: json({ object: 'list', data }) })

describe('peers', () => {
  it('are listed with what they declare and what was measured, this one first', async () => {
    const { dataDir, asked } = await fakePeer(listed(other, self))
    const io = stage()
    expect(await io.run('peers', '--data-dir', dataDir)).toBe(0)
    expect(io.stdout.text).toBe(
      [
        'ID                     REGION  HARDWARE                       MODELS               LOAD   PRICE        RTT  HEARD',
        '12D3KooWSelfAAAAAAAA   -       A processor, 2 threads, 8 GiB  -                       -       -  this peer      -',
        '12D3KooWOtherBBBBBBBB  DE      A card (80 GiB)                phi-4, tinyllama  5/12 +2  40/120    0.81 ms    3 s',
        '',
        'Region and hardware are as each peer declares them.',
        '',
      ].join('\n'),
    )
    expect(asked.at(-1)?.authorization).toBeUndefined()
  })

  it('fit a terminal, with the end of their ids', async () => {
    const { dataDir } = await fakePeer(listed(self, other))
    const io = stage({ tty: true, env: { NO_COLOR: '1' } })
    await io.run('peers', '--data-dir', dataDir)
    expect(io.stdout.text).toContain('…BBBBBBBB')
    expect(Math.max(...io.stdout.text.split('\n').map((line) => line.length))).toBeLessThan(81)
  })

  it('are JSON for programs', async () => {
    const { dataDir } = await fakePeer(listed(self, other))
    const io = stage()
    expect(await io.run('peers', '--json', '--data-dir', dataDir)).toBe(0)
    expect(JSON.parse(io.stdout.text)).toEqual([self, other])
  })

  it('say how to find others when there is none', async () => {
    const { dataDir } = await fakePeer(listed(self))
    const io = stage()
    expect(await io.run('peers', '--data-dir', dataDir)).toBe(0)
    expect(io.stdout.text).toMatch(/knows no other.*--mdns.*--bootstrap/)
  })

  it('cannot make a mess of a terminal, whatever they say of themselves', async () => {
    const loud = `\u001b[2J\u202e${'x'.repeat(5000)}`
    const models = [{ ...other.models[0], name: loud, price: { input: 1e300, output: 0 } }]
    const hostile = {
      ...other,
      ...{ id: loud, region: loud, models, rtt_ms: 1e300, evidence_age_s: 1e300 },
      hardware: { gpus: [{ name: loud, vram_total_bytes: 1e300 }], cpu: loud },
    }
    const { dataDir } = await fakePeer(listed(self, hostile))
    const io = stage()
    expect(await io.run('peers', '--data-dir', dataDir)).toBe(0)
    for (const each of ['\u001b', '\u202e']) expect(io.stdout.text).not.toContain(each)
    expect(Math.max(...io.stdout.text.split('\n').map((line) => line.length))).toBeLessThan(350)
  })

  it.each([
    ['no list', { hello: 'world' }],
    ['a list of other things', { data: [{ id: 7 }] }],
    ['a peer without models', { data: [{ ...self, models: [null] }] }],
  ])('refuses %s', async (_name, answer) => {
    const { dataDir } = await fakePeer({ [path]: json(answer) })
    const io = stage()
    expect(await io.run('peers', '--data-dir', dataDir)).toBe(1)
    expect(io.stderr.text).toMatch(/no peer of a version this one knows/)
  })
})
