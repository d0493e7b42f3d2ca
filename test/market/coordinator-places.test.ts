import { describe, expect, it } from 'vitest'
import { frames, modelId, stage } from './coordinator-stage.ts'

describe('a jurisdiction', () => {
  it('is kept to by every attempt', async () => {
    const { collect, provider } = await stage()
    const german = await provider({ region: 'DE' })
    const french = await provider({ region: 'FR' })
    const nowhere = await provider()
    for (let n = 0; n < 10; n++) {
      const { routed } = await collect({ wishes: { jurisdiction: 'DE' } })
      expect(routed.node.id).toBe(german.peerId)
      expect(routed.route.excluded).toEqual({ jurisdiction: 2 })
    }
    expect(german.lines[0]?.job.jurisdiction).toBe('DE')
    german.script = async (line) => line.say(frames.refuse('draining'))
    const failed = collect({ wishes: { jurisdiction: 'DE' } })
    await expect(failed).rejects.toMatchObject({ code: 'no_nodes_available' })
    expect([...french.lines, ...nowhere.lines]).toEqual([])
  })

  it('may be the union, which each of its members is in', async () => {
    const { collect, provider } = await stage()
    await provider({ region: 'US' })
    await provider()
    const wishes = { jurisdiction: 'EU' }
    await expect(collect({ wishes })).rejects.toMatchObject({ code: 'no_nodes_in_jurisdiction' })
    const { peerId, lines } = await provider({ region: 'PT' })
    const { routed } = await collect({ wishes })
    expect(routed.node).toMatchObject({ id: peerId, country: 'PT' })
    expect(lines[0]?.job.jurisdiction).toBe('EU')
  })

  it('is not served elsewhere without a word, this machine included', async () => {
    const { collect, engine } = await stage({ region: 'CA' })
    const failed = collect({ model: 'test-chat', wishes: { jurisdiction: 'DE' } })
    await expect(failed).rejects.toMatchObject({
      code: 'no_nodes_in_jurisdiction',
      message: expect.stringContaining('DE'),
    })
    expect(engine.jobs).toEqual([])
    await collect({ model: 'test-chat', wishes: { jurisdiction: 'CA' } })
    expect(engine.jobs).toHaveLength(1)
  })

  it('is nowhere for a peer that does not say where it is', async () => {
    const { collect, engine } = await stage()
    const failed = collect({ model: 'test-chat', wishes: { jurisdiction: 'CA' } })
    await expect(failed).rejects.toMatchObject({ code: 'no_nodes_in_jurisdiction' })
    expect(engine.jobs).toEqual([])
  })
})

describe('a price', () => {
  const cheap = { price: { input: 1, output: 2 } }
  const dear = { price: { input: 100, output: 200 } }

  it('keeps those away that ask for more, of either kind of token', async () => {
    const { collect, provider } = await stage()
    const { peerId } = await provider({ model: cheap })
    await provider({ model: dear })
    for (let n = 0; n < 10; n++) {
      const { routed } = await collect({ wishes: { maxPrice: { input: 1, output: 2 } } })
      expect(routed.node.id).toBe(peerId)
      expect(routed.route.excluded).toEqual({ price: 1 })
    }
    const failed = collect({ wishes: { maxPrice: { input: 500, output: 1 } } })
    await expect(failed).rejects.toMatchObject({
      code: 'no_nodes_available',
      message: expect.stringContaining('max_price'),
    })
  })

  it('decides between equals', async () => {
    const { collect, provider } = await stage()
    await provider({ model: dear })
    const { peerId } = await provider({ model: cheap })
    expect((await collect()).routed.node.id).toBe(peerId)
  })
})

describe('nodes that the caller names', () => {
  it('are asked, and no others', async () => {
    const { collect, provider } = await stage()
    const [a, b] = [await provider(), await provider()]
    for (let n = 0; n < 5; n++) {
      expect((await collect({ wishes: { only: [b.peerId] } })).routed.node.id).toBe(b.peerId)
      expect((await collect({ wishes: { not: [b.peerId] } })).routed.node.id).toBe(a.peerId)
    }
    for (const wishes of [{ only: ['12D3KooNobody'] }, { not: [a.peerId, b.peerId] }]) {
      await expect(collect({ wishes })).rejects.toMatchObject({
        code: 'no_nodes_available',
        message: expect.stringContaining("'node'"),
      })
    }
  })
})

describe('a name', () => {
  it('that the network never had is looked up, once a request, and unknown then', async () => {
    const { collect, provider, lookUps } = await stage()
    await provider()
    const model = 'nobody-has-it'
    await expect(collect({ model })).rejects.toMatchObject({
      code: 'model_not_found',
      param: 'model',
      message: `The model '${model}' does not exist here. GET /v1/models lists those that do.`,
    })
    expect(lookUps).toEqual([model])
  })

  it('is served as soon as somebody was found', async () => {
    const { collect, provider, onLookUp, lookUps } = await stage()
    onLookUp.found = async () => {
      await provider()
    }
    expect((await collect()).text).toBe('Hello world')
    expect(lookUps).toEqual(['net-chat'])
  })

  it('is waited for no longer than a moment', async () => {
    const { collect, onLookUp, clock } = await stage()
    onLookUp.found = () => new Promise(() => {})
    const refused = expect(collect()).rejects.toMatchObject({ code: 'model_not_found' })
    await clock.advance(2_500)
    await refused
  })

  it('that is known never waits for the DHT', async () => {
    const { collect, provider, lookUps, directory, coordinator, hub } = await stage()
    const { peerId } = await provider({ region: 'DE' })
    const id = modelId('net-chat')
    const { signal } = new AbortController()
    for (const model of ['net-chat', id, 'test-chat', 'gpt-4o-mini']) {
      await collect({ model })
      await coordinator.find(model, { signal })
    }
    await collect({ wishes: { jurisdiction: 'FR' } }).catch(() => {})
    directory.remove(peerId)
    for (const model of ['net-chat', id]) {
      expect((await coordinator.find(model, { signal })).nodes).toBe(0)
      await expect(collect({ model })).rejects.toMatchObject({ code: 'no_nodes_available' })
    }
    expect(lookUps).toEqual([])
    expect(hub.dht.lookups).toBe(0)
  })

  it('does not reach a model of another kind', async () => {
    const { collect, provider } = await stage()
    const { lines } = await provider({ model: { kind: 'embedding', embeddingLength: 4 } })
    await expect(collect()).rejects.toMatchObject({ code: 'no_nodes_available' })
    expect(lines).toHaveLength(0)
  })
})

describe('those that are likely to be used', () => {
  it('are kept warm, eight of a model', async () => {
    const { collect, provider, watched, coordinator, clock } = await stage()
    const peers: string[] = []
    for (let n = 0; n < 10; n++) peers.push((await provider()).peerId)
    const { routed } = await collect()
    expect(watched()).toHaveLength(8)
    expect(peers).toEqual(expect.arrayContaining([...watched()]))
    await clock.advance(5_000)
    await collect()
    expect(watched()[0]).toBe(routed.node.id)
    await clock.advance(25 * 60_000)
    expect(watched()).toEqual([])
    await coordinator.stop()
    expect(clock.pending).toBe(0)
  })
})
