import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { gateway, type LanPeer, LanPeers } from './lan-peers.ts'
import { canMakeNamespaces } from './namespaces.ts'

const patient = { timeout: 25_000, interval: 100 }

describe.runIf(await canMakeNamespaces())('peers on one local network, told of nobody', () => {
  const peers = new LanPeers()
  let asked: LanPeer
  let provider: LanPeer
  let third: LanPeer
  /** Of another network, on the same cables. */
  let foreign: LanPeer
  /** Without --mdns. */
  let alone: LanPeer

  beforeAll(async () => {
    await peers.lan.open()
    ;[asked, provider, third, foreign, alone] = await Promise.all([
      peers.peer([...gateway, '--mdns']),
      peers.peer(['--mdns', '--region', 'DE']),
      peers.peer([...gateway, '--mdns']),
      peers.peer(['--mdns', '--network', `${peers.network}-2`]),
      peers.peer(gateway),
    ])
  }, 60_000)
  afterAll(() => peers.close())

  it('find each other', async () => {
    const ours = [asked, provider, third]
    for (const peer of ours) {
      const others = ours.filter((other) => other !== peer).map(({ id }) => id)
      await expect.poll(async () => (await peer.seen()).toSorted(), patient).toEqual(others.sort())
    }
  })

  it('answer for each other, with an official client, streamed', async () => {
    await expect.poll(() => asked.nodesWith('pinaivu-demo'), patient).toBe(1)
    const { http, apiKey } = asked.process.ready
    const client = new OpenAI({ baseURL: `${http}/v1`, apiKey, fetch: asked.machine.fetch })
    const { data: stream, response } = await client.chat.completions
      .create({
        model: 'pinaivu-demo',
        temperature: 0,
        messages: [{ role: 'user', content: 'What is a peer?' }],
        stream: true,
      })
      .withResponse()
    let text = ''
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
    expect(text).toContain('one running process in the network')
    expect(response.headers.get('x-pinaivu-node-id')).toBe(provider.id)
    expect(response.headers.get('x-pinaivu-node-country')).toBe('DE')
  })

  it('tell whoever asks for it who is there', async () => {
    const { stdout } = await asked.run('peers')
    for (const { id } of [provider, third]) expect(stdout).toContain(id)
    expect((await asked.run('status')).stdout).toContain('2 known, 2 connected')
  })

  it('never see one of another network, nor does it see them', async () => {
    expect(await foreign.seen()).toEqual([])
    for (const peer of [asked, provider, third]) expect(await peer.sees(foreign)).toBe(false)
    const { stdout } = await foreign.run('peers')
    expect(stdout).toContain('knows no other')
    expect(stdout.replaceAll(/\s+/g, ' ')).toContain(`--network ${peers.network}-2`)
  })

  it('leave one alone that wants to be', async () => {
    expect(await alone.seen()).toEqual([])
    expect((await alone.run('peers')).stdout).toContain('--mdns')
    const answer = await alone.chat()
    expect([answer.status, (await answer.json()).error.code]).toEqual([404, 'model_not_found'])
    for (const peer of [asked, provider, third]) expect(await peer.sees(alone)).toBe(false)
  })
})
