import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import OpenAI from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { packageRoot } from '../../src/base/package-root.ts'
import { ask, type PeerProcess, type Ready, startPeer } from './peer-process.ts'

const demo = join(packageRoot(), 'models/pinaivu-demo-q8_0.gguf')
const started: PeerProcess[] = []

/** A peer of this file's network; `stopAll` ends it. */
async function peer(args: string[], through?: PeerProcess): Promise<PeerProcess> {
  const [door] = through?.ready.addrs ?? []
  const joined = door === undefined ? [] : ['--bootstrap', door]
  const made = await startPeer({ args: ['--network', 'e2e', ...joined, ...args] })
  started.push(made)
  return made
}

const gateway = ['--no-demo', '--roles', 'coordinator']

interface SeenPeer {
  node: string
  self: boolean
  region: string | null
  connected: boolean
  models: { name: string }[]
}

async function peersSeenBy({ ready }: PeerProcess): Promise<SeenPeer[]> {
  const { data } = (await (await ask(ready, '/v8/network/peers')).json()) as { data: SeenPeer[] }
  return data.filter(({ self }) => !self)
}

const idsSeenBy = async (viewer: PeerProcess) => (await peersSeenBy(viewer)).map(({ node }) => node)

/** A model is listed once a provider has loaded it and said so. */
async function untilServed(
  { ready }: PeerProcess,
  model: string,
  { nodes = 1, withinMs = 20_000 } = {},
): Promise<void> {
  type List = { data: { id: string; nodes: number }[] }
  const signal = AbortSignal.timeout(withinMs)
  for (;;) {
    const { data } = (await (await ask(ready, '/v1/models')).json()) as List
    if (data.some((each) => each.id === model && each.nodes >= nodes)) return
    await sleep(50, undefined, { signal })
  }
}

const chat = (ready: Ready, model: string, more: object = {}) =>
  ask(ready, '/v1/chat/completions', {
    model,
    temperature: 0,
    messages: [{ role: 'user', content: 'What is a peer?' }],
    ...more,
  })

/** All but so many that were there first. */
async function stopAllBut(kept: number): Promise<void> {
  await Promise.all(started.splice(kept).map((each) => each.stop()))
}

const stopAll = () => stopAllBut(0)

describe('a model that only another peer has', () => {
  let provider: PeerProcess
  let asked: PeerProcess
  beforeAll(async () => {
    provider = await peer(['--region', 'DE', '--price', '10/20'])
    asked = await peer(gateway, provider)
    for (const model of provider.ready.models) await untilServed(asked, model)
  })
  afterAll(stopAll)

  it('answers through this one, with an official client, streamed', async () => {
    const client = new OpenAI({ baseURL: `${asked.ready.http}/v1`, apiKey: asked.ready.apiKey })
    const { data: stream, response } = await client.chat.completions
      .create({
        model: 'pinaivu-demo',
        temperature: 0,
        messages: [{ role: 'user', content: 'What is a peer?' }],
        stream: true,
      })
      .withResponse()
    let text = ''
    let node: unknown
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? ''
      node ??= (chunk as { node?: unknown }).node
    }
    expect(text).toContain('one running process in the network')
    expect(node).toMatchObject({ id: provider.ready.peerId, country: 'DE' })
    for (const prefix of ['x-pinaivu', 'x-ryvion']) {
      expect(response.headers.get(`${prefix}-node-id`)).toBe(provider.ready.peerId)
      expect(response.headers.get(`${prefix}-node-country`)).toBe('DE')
      expect(response.headers.get(`${prefix}-node-gpu`)).toBe('cpu')
      expect(response.headers.get(`${prefix}-model`)).toBe('pinaivu-demo')
    }
  })

  it('says as a whole answer too who made it', async () => {
    const answer = await chat(asked.ready, 'pinaivu-demo')
    const body = await answer.json()
    expect(answer.headers.get('x-pinaivu-node-id')).toBe(provider.ready.peerId)
    expect(Number(answer.headers.get('x-pinaivu-tokens-output'))).toBe(body.usage.completion_tokens)
    expect(JSON.parse(answer.headers.get('x-pinaivu-route') ?? '')).toMatchObject({
      attempts: [{ node: provider.ready.peerId, outcome: 'ok' }],
    })
  })

  it('embeds', async () => {
    const answer = await ask(asked.ready, '/v1/embeddings', {
      model: 'pinaivu-demo-embed',
      input: ['a peer', 'a model'],
    })
    expect(answer.headers.get('x-pinaivu-node-id')).toBe(provider.ready.peerId)
    expect((await answer.json()).data).toHaveLength(2)
  })

  it('is refused where the client wants it elsewhere, cheaper or by another', async () => {
    const refusals = [
      [{ jurisdiction: 'FR' }, 503, 'no_nodes_in_jurisdiction'],
      [{ max_price: { input: 9, output: 20 } }, 503, 'no_nodes_available'],
      [{ node: { not: [provider.ready.peerId] } }, 503, 'no_nodes_available'],
      [{ node: { only: [asked.ready.peerId] } }, 503, 'no_nodes_available'],
    ] as const
    for (const [wish, status, code] of refusals) {
      const answer = await chat(asked.ready, 'pinaivu-demo', wish)
      expect([answer.status, (await answer.json()).error.code]).toEqual([status, code])
    }
    const suits = { jurisdiction: 'EU', max_price: 20, node: { only: [provider.ready.peerId] } }
    expect((await chat(asked.ready, 'pinaivu-demo', suits)).status).toBe(200)
  })

  it('is a 404 when nobody ever had it', async () => {
    const answer = await chat(asked.ready, 'of-nobody')
    expect([answer.status, (await answer.json()).error.code]).toEqual([404, 'model_not_found'])
  })

  it('passes on what is wrong with the request', async () => {
    const content = 'one two three four '.repeat(500)
    const answer = await chat(asked.ready, 'pinaivu-demo', {
      messages: [{ role: 'user', content }],
    })
    const { error } = await answer.json()
    expect([answer.status, error.code]).toEqual([400, 'context_length_exceeded'])
  })
})

describe('peers', () => {
  let viewer: PeerProcess
  let other: PeerProcess
  beforeAll(async () => {
    viewer = await peer(gateway)
    other = await peer(gateway, viewer)
  })
  // A model is known by what is in its file: whoever still serves it would answer for the next.
  afterEach(() => stopAllBut(2))
  afterAll(stopAll)

  async function untilSeen({ ready: { peerId } }: PeerProcess): Promise<void> {
    for (const view of [viewer, other]) {
      await expect.poll(() => idsSeenBy(view), { timeout: 20_000 }).toContain(peerId)
    }
  }

  async function untilGone({ ready: { peerId } }: PeerProcess, timeout: number): Promise<void> {
    for (const view of [viewer, other]) {
      await expect.poll(() => idsSeenBy(view), { timeout }).not.toContain(peerId)
    }
  }

  it('find each other by the DHT alone, over two others', async () => {
    const last = await peer(['--model', `far-away=${demo}`], await peer(gateway, other))
    await untilServed(viewer, 'far-away', { withinMs: 40_000 })
    expect((await chat(viewer.ready, 'far-away')).headers.get('x-pinaivu-node-id')).toBe(
      last.ready.peerId,
    )
  }, 60_000)

  it('of another network are never seen', async () => {
    const [door] = viewer.ready.addrs
    const foreign = await startPeer({
      args: ['--network', 'other', '--bootstrap', door ?? ''],
    })
    started.push(foreign)
    const ally = await peer(['--model', `ours=${demo}`], viewer)
    await untilServed(viewer, 'ours')
    expect(await idsSeenBy(viewer)).toContain(ally.ready.peerId)
    expect(await idsSeenBy(viewer)).not.toContain(foreign.ready.peerId)
    expect(await idsSeenBy(foreign)).toEqual([])
  })

  it('that leave are gone from every view within a second', async () => {
    const leaving = await peer(['--model', `left=${demo}`], other)
    await untilSeen(leaving)
    await untilServed(viewer, 'left')
    const stopping = leaving.stop()
    await untilGone(leaving, 1_000 + 500)
    await stopping
    const answer = await chat(viewer.ready, 'left')
    expect([answer.status, (await answer.json()).error.code]).toEqual([503, 'no_nodes_available'])
  })

  it('that are killed are gone within 30 seconds', async () => {
    const killed = await peer([], other)
    await untilSeen(killed)
    await killed.kill()
    await untilGone(killed, 30_000)
  }, 60_000)

  it('that freeze before the first token cost the client no error', async () => {
    const frozen = await peer(['--model', `both=${demo}`], viewer)
    const healthy = await peer(['--model', `both=${demo}`], viewer)
    await untilServed(viewer, 'both', { nodes: 2 })
    frozen.child.kill('SIGSTOP')
    try {
      for (let n = 0; n < 4; n++) {
        const answer = await chat(viewer.ready, 'both')
        expect(answer.status).toBe(200)
        expect(answer.headers.get('x-pinaivu-node-id')).toBe(healthy.ready.peerId)
      }
    } finally {
      frozen.child.kill('SIGCONT')
    }
  })
})
