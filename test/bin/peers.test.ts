import { describe, expect, it } from 'vitest'
import { fakePeer, json, otherPeer, peerState, selfPeer, stage } from './stage.ts'

const path = 'GET /v8/network/peers'

const listed = (...data: unknown[]) => ({
  [path]: json({ object: 'list', data, total: data.length }),
})

describe('peers', () => {
  it('are listed with what they declare and what was measured, this one first', async () => {
    const { dataDir, asked } = await fakePeer(listed(otherPeer, selfPeer))
    const io = stage()
    expect(await io.run('peers', '--data-dir', dataDir)).toBe(0)
    expect(io.stdout.text).toBe(
      [
        'ID                     REGION  HARDWARE                       MODELS                 LOAD   PRICE        RTT  HEARD',
        '12D3KooTest            DE      A processor, 2 threads, 8 GiB  pinaivu-demo            1/4  40/120  this peer      -',
        '12D3KooWOtherBBBBBBBB  FR      A card (80 GiB)                pinaivu-demo, phi-4  4/4 +2  40/120     0.8 ms    3 s',
        '',
        'Region and hardware are as each peer declares them.',
        '',
      ].join('\n'),
    )
    expect(asked.at(-1)?.authorization).toBeUndefined()
  })

  it('fit a terminal, with the end of their ids', async () => {
    const { dataDir } = await fakePeer(listed(selfPeer, otherPeer))
    const io = stage({ tty: true, env: { NO_COLOR: '1' } })
    await io.run('peers', '--data-dir', dataDir)
    expect(io.stdout.text).toContain('…BBBBBBBB')
    expect(Math.max(...io.stdout.text.split('\n').map((line) => line.length))).toBeLessThan(81)
  })

  it('are JSON for programs', async () => {
    const { dataDir } = await fakePeer(listed(selfPeer, otherPeer))
    const io = stage()
    expect(await io.run('peers', '--json', '--data-dir', dataDir)).toBe(0)
    expect(JSON.parse(io.stdout.text)).toEqual([selfPeer, otherPeer])
  })

  it('say how to find others when there is none', async () => {
    const told = async (joining: object) => {
      const state = { ...peerState, network: { ...peerState.network, ...joining } }
      const { dataDir } = await fakePeer({ ...listed(selfPeer), 'GET /readyz': json(state) })
      const io = stage()
      expect(await io.run('peers', '--data-dir', dataDir)).toBe(0)
      return io.stdout.text.replaceAll(/\s+/g, ' ')
    }
    const alone = await told({ bootstrap: 0, mdns: false })
    expect(alone).toMatch(/knows no other, .* --mdns, .* --bootstrap/)
    const looking = await told({ bootstrap: 2, mdns: true })
    expect(looking).toMatch(
      /through 2 known peers and the local network \(mDNS\)\. .*--network main/,
    )
    expect(await told({ bootstrap: 0, mdns: true })).toContain('joins through the local network')
  })

  it('cannot make a mess of a terminal, whatever they say of themselves', async () => {
    const loud = `\u001b[2J\u202e${'x'.repeat(5000)}`
    const models = [
      { ...otherPeer.models[0], id: loud, slots: 1e300, price: { input: 1e300, output: 0 } },
    ]
    const hostile = {
      ...otherPeer,
      ...{ node: loud, region: loud, models, rtt_ms: 1e300, evidence_age_s: 1e300 },
      hardware: { gpus: [{ name: loud, vram_total_bytes: 1e300 }], cpu: loud },
    }
    const { dataDir } = await fakePeer(listed(selfPeer, hostile))
    const io = stage()
    expect(await io.run('peers', '--data-dir', dataDir)).toBe(0)
    for (const each of ['\u001b', '\u202e']) expect(io.stdout.text).not.toContain(each)
    expect(Math.max(...io.stdout.text.split('\n').map((line) => line.length))).toBeLessThan(350)
  })

  it.each([
    ['no list', { hello: 'world' }],
    ['a list of other things', { data: [{ node: 7 }] }],
    ['a list without itself', { data: [otherPeer], total: 1 }],
    ['a peer without models', { data: [{ ...selfPeer, models: [null] }] }],
  ])('refuses %s', async (_name, answer) => {
    const { dataDir } = await fakePeer({ [path]: json(answer) })
    const io = stage()
    expect(await io.run('peers', '--data-dir', dataDir)).toBe(1)
    expect(io.stderr.text).toMatch(/no peer of a version this one knows/)
  })
})
