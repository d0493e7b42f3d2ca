import { describe, expect, it } from 'vitest'
import { modelId, stage } from './coordinator-stage.ts'

describe('the list of models', () => {
  it('has own ones first, then those of the network by name', async () => {
    const { coordinator, provider, engine } = await stage({ price: { input: 4, output: 4 } })
    await provider({ model: { name: 'zebra' } })
    await provider({ model: { name: 'ape', price: { input: 3, output: 9 } } })
    await provider({ model: { name: 'ape', price: { input: 1, output: 2 }, contextLength: 900 } })
    await provider({ model: { name: 'test-chat', price: { input: 1, output: 1 } } })
    await provider({ model: { name: 'sketch', kind: 'image' } })
    const models = coordinator.models()
    const own = engine.status().map(({ name }) => name)
    expect(models.map(({ name }) => name)).toEqual([...own, 'ape', 'zebra'])
    expect(models[0]).toMatchObject({
      nodes: 2,
      id: modelId('test-chat'),
      local: { state: 'ready' },
      price: { input: 1, output: 1 },
    })
    expect(coordinator.resolve('ape')).toEqual({
      name: 'ape',
      id: modelId('ape'),
      kind: 'chat',
      contextLength: 900,
      embeddingLength: 0,
      capabilities: [],
      created: 1_800_000_000,
      local: undefined,
      nodes: 2,
      price: { input: 1, output: 2 },
    })
  })

  it('counts those that can be used now', async () => {
    const { coordinator, provider, load, directory } = await stage()
    const [a, b] = [await provider(), await provider()]
    load(a.peerId, { ready: false })
    expect(coordinator.resolve('net-chat')?.nodes).toBe(1)
    load(b.peerId, {}, true)
    expect(coordinator.resolve('net-chat')?.nodes).toBe(0)
    directory.remove(a.peerId)
    directory.remove(b.peerId)
    expect(coordinator.resolve('net-chat')).toMatchObject({ nodes: 0, price: undefined })
    expect(coordinator.models().map(({ name }) => name)).not.toContain('net-chat')
    expect(coordinator.resolve('never')).toBeUndefined()
  })
})

describe('what a model is', () => {
  const wrong = { model: { kind: 'embedding', embeddingLength: 5 } }

  it('is said by those who proved themselves', async () => {
    const { coordinator, provider, collect } = await stage()
    for (let n = 0; n < 3; n++) await provider(wrong)
    await provider()
    expect(coordinator.resolve('net-chat')?.kind).toBe('embedding')
    await collect()
    expect(coordinator.resolve('net-chat')?.kind).toBe('chat')
  })

  it('is said by most, where nobody did', async () => {
    const { coordinator, provider } = await stage()
    await provider(wrong)
    for (let n = 0; n < 2; n++) await provider()
    expect(coordinator.resolve('net-chat')).toMatchObject({ kind: 'chat', embeddingLength: 0 })
  })
})

describe('a name that means several models', () => {
  const named = (id: string) => ({ model: { id: modelId(id) } })

  it('means the one that most good providers serve', async () => {
    const { coordinator, provider, collect } = await stage()
    await provider(named('b'))
    await provider(named('b'))
    const { peerId } = await provider(named('a'))
    expect(coordinator.resolve('net-chat')?.id).toBe(modelId('b'))
    // One that proved itself counts for more than two that nobody knows.
    await collect({ model: modelId('a') })
    expect(coordinator.resolve('net-chat')?.id).toBe(modelId('a'))
    expect((await collect()).routed.node.id).toBe(peerId)
  })

  it('is not given away by one who serves another popular model by it', async () => {
    const { coordinator, provider, collect } = await stage()
    for (let n = 0; n < 3; n++) {
      await provider({ model: { name: 'popular', id: modelId('a') } })
      await collect({ model: 'popular' })
    }
    await provider(named('b'))
    await collect()
    await provider(named('a'))
    expect(coordinator.resolve('net-chat')?.id).toBe(modelId('b'))
  })

  it('is counted by the nets where it is served: one operator has any number of ids', async () => {
    const { coordinator, provider, directory } = await stage()
    const ids = ['a', 'a', 'a', 'b', 'b']
    for (const [at, net] of ['1', '1', '1', '2', '3'].entries()) {
      const { peerId } = await provider(named(ids[at] ?? ''))
      directory.update(peerId, { net })
    }
    expect(coordinator.resolve('net-chat')?.id).toBe(modelId('b'))
  })

  it('goes on meaning what it meant, however many newcomers say another thing', async () => {
    const { coordinator, provider, clock } = await stage()
    await provider(named('b'))
    await clock.advance(60_000)
    for (let n = 0; n < 3; n++) await provider(named('a'))
    expect(coordinator.resolve('net-chat')?.id).toBe(modelId('b'))
  })

  it('means the smallest id among equals', async () => {
    const { coordinator, provider } = await stage()
    for (const id of ['x', 'y', 'z']) await provider(named(id))
    const [smallest] = ['x', 'y', 'z'].map(modelId).toSorted()
    expect(coordinator.resolve('net-chat')?.id).toBe(smallest)
  })

  it('means what the owner pinned, whoever serves what', async () => {
    const pins = { 'net-chat': modelId('pinned') }
    const { coordinator, provider, collect, lookUps } = await stage({ pins })
    await provider(named('a'))
    expect(coordinator.resolve('net-chat')).toBeUndefined()
    await expect(collect()).rejects.toMatchObject({ code: 'model_not_found' })
    expect(lookUps).toEqual([modelId('pinned')])
    const { peerId } = await provider(named('pinned'))
    expect((await collect()).routed).toMatchObject({
      node: { id: peerId },
      model: { name: 'net-chat', id: modelId('pinned') },
    })
  })

  it('is left aside where an id is asked for', async () => {
    const { provider, collect } = await stage()
    await provider(named('a'))
    await provider(named('b'))
    for (const id of ['a', 'b'].map(modelId)) {
      expect((await collect({ model: id })).routed.model).toEqual({ name: 'net-chat', id })
    }
  })
})
