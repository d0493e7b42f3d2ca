import { describe, expect, it } from 'vitest'
import { BusyError, PeerError } from '../../src/base/errors.ts'
import { settled } from '../base/fake-clock.ts'
import { chat, frames, jobOf, modelId, type Script, signal, stage } from './coordinator-stage.ts'

describe('a job that a peer does', () => {
  it('comes with who did it, and how that peer was found', async () => {
    const { collect, provider, coordinator, counted } = await stage()
    const { peerId, lines } = await provider({ region: 'DE', gpu: 'RTX 9' })
    const answer = await collect()
    expect(answer.text).toBe('Hello world')
    expect(answer.routed).toMatchObject({
      node: { id: peerId, gpu: 'RTX 9', country: 'DE' },
      model: { name: 'net-chat', id: modelId('net-chat') },
      inputTokens: 5,
    })
    const types = ['accepted', 'routed', 'tokens', 'tokens', 'done']
    expect(answer.chunks.map(({ type }) => type)).toEqual(types)
    expect(answer.done.usage).toEqual({ inputTokens: 5, cachedTokens: 0, outputTokens: 2 })
    expect(answer.routed.route).toMatchObject({
      candidates: [{ node: peerId, reasons: expect.arrayContaining(['newcomer']) }],
      excluded: {},
      attempts: [{ node: peerId, outcome: 'ok', ms: 0 }],
    })
    await coordinator.stop()
    expect(lines[0]?.heard).toMatchObject([{ type: 'ack', dispute: '' }])
    expect(counted).toEqual(['ok'])
  })

  it('is signed, for that peer alone, and tells nobody whose it is', async () => {
    const { collect, provider, identity } = await stage({ publish: 'none' })
    const { peerId, lines } = await provider({ model: { price: { input: 1, output: 2 } } })
    const job = { id: 'job_x', cacheScope: 'acct_secret', work: chat({ maxTokens: 7, seed: 11 }) }
    await collect(job)
    await collect({ ...job, id: 'job_y', wishes: { maxPrice: { input: 5, output: 5 } } })
    const [first, second] = lines.map((line) => line.job)
    expect(first).toMatchObject({
      jobId: 'job_x.1',
      attempt: 1,
      provider: peerId,
      coordinator: identity.peerId,
      model: modelId('net-chat'),
      kind: 'chat',
      seed: 11,
      maxOutputTokens: 7,
      maxPrice: { input: 1, output: 2 },
      jurisdiction: '',
      publish: 'none',
    })
    expect(second?.maxPrice).toEqual({ input: 5, output: 5 })
    expect(first?.cacheScope).toHaveLength(32)
    expect(second?.cacheScope).toEqual(first?.cacheScope)
    expect(Buffer.from(first?.cacheScope ?? []).includes('acct_secret')).toBe(false)
    // The same prompt twice: nobody can tell from what is published.
    expect(second?.promptRoot).not.toEqual(first?.promptRoot)
  })

  it('may have a prompt of many frames', async () => {
    const { collect, provider } = await stage()
    const { lines } = await provider({ model: { contextLength: 1_000_000 } })
    const work = chat({}, 'word '.repeat(200_000))
    expect((await collect({ work })).text).toBe('Hello world')
    expect(lines[0]?.work).toEqual(work)
  })

  it('may be an embedding', async () => {
    const { collect, provider } = await stage()
    const values = Float32Array.from([1, 0, 0, 1])
    await provider({
      model: { kind: 'embedding', embeddingLength: 2 },
      script: async (line) => {
        line.say(frames.accept(), { type: 'vectors', first: 0, length: 2, values })
        line.say(frames.done(0, { finish: [] }))
      },
    })
    const answer = await collect({ work: { kind: 'embedding', inputs: ['a', 'b'] } })
    const types = ['accepted', 'routed', 'vectors', 'done']
    expect(answer.chunks.map(({ type }) => type)).toEqual(types)
  })

  it('shows how far it is, and when its prompt was counted', async () => {
    const { collect, provider } = await stage()
    const uncounted = { ...frames.progress(2), inputTokens: 0 } as ReturnType<
      typeof frames.progress
    >
    await provider({
      script: async (line) => {
        line.say(frames.accept(0), uncounted, frames.progress(1), frames.progress(0))
        line.say(frames.tokens(0, ['a']), frames.done(1))
      },
    })
    const { chunks, routed } = await collect()
    expect(chunks.slice(0, 3)).toEqual([
      { type: 'progress', queued: 2, prefilled: 0, total: 5 },
      { type: 'accepted', inputTokens: 5, openCid: expect.stringMatching(/^ryv1:sha256:/) },
      { type: 'progress', queued: 0, prefilled: 0, total: 5 },
    ])
    expect(routed.inputTokens).toBe(5)
  })

  it('passes over what only a newer provider says', async () => {
    const { collect, provider, faults } = await stage()
    await provider({
      script: async (line) => {
        line.say(frames.accept(), frames.tokens(0, ['a']))
        // Field 99 of the frame, a length and its bytes.
        line.stream.write(Uint8Array.of(0x9a, 0x06, 1, 0))
        line.say(frames.done(1))
      },
    })
    expect((await collect()).text).toBe('a')
    expect(faults()).toEqual([])
  })
})

describe('a job of this machine', () => {
  const local = { model: 'test-chat' }

  it('stays here, and says so', async () => {
    const { collect, provider, identity } = await stage({ region: 'CA' })
    const { lines } = await provider({ model: { name: 'test-chat' } })
    const answer = await collect(local)
    expect(answer.routed).toMatchObject({
      node: { id: identity.peerId, country: 'CA' },
      model: { name: 'test-chat' },
      inputTokens: 5,
      route: {
        candidates: [{ node: identity.peerId, score: 0, reasons: ['served on this machine'] }],
        attempts: [{ node: identity.peerId, outcome: 'ok' }],
      },
    })
    expect(answer.chunks.map(({ type }) => type).slice(0, 4)).toEqual([
      'accepted',
      'progress',
      'routed',
      'tokens',
    ])
    expect(lines).toHaveLength(0)
  })

  it('is known by an alias and by its id as well', async () => {
    const { collect, engine } = await stage()
    expect((await collect({ model: 'gpt-4o-mini' })).routed.model.name).toBe('test-chat')
    const [status] = engine.status()
    expect(status?.id).toBeDefined()
    const byId = await collect({ model: status?.id ?? '' })
    expect(byId.routed.model).toEqual({ name: 'test-chat', id: status?.id })
    expect(engine.jobs.at(-1)?.model).toBe('test-chat')
  })

  it('stays here without any network', async () => {
    const { collect, coordinator } = await stage({ remote: false })
    expect((await collect(local)).text).not.toBe('')
    await expect(collect()).rejects.toMatchObject({ code: 'model_not_found', param: 'model' })
    expect(coordinator.models().map(({ nodes }) => nodes)).toEqual([1, 1, 1, 1])
  })

  it('goes to others when the caller wants it elsewhere', async () => {
    const { collect, provider, engine, identity } = await stage({ region: 'CA' })
    const id = engine.status()[0]?.id ?? ''
    const { peerId } = await provider({ region: 'DE', model: { name: 'other', id } })
    for (const wishes of [
      { not: [identity.peerId] },
      { only: [peerId] },
      { jurisdiction: 'DE' },
      { jurisdiction: 'EU' },
    ]) {
      const answer = await collect({ ...local, wishes })
      expect(answer.routed.node.id).toBe(peerId)
      expect(answer.routed.model).toEqual({ name: 'test-chat', id })
    }
    expect(engine.jobs).toHaveLength(0)
  })

  it('is free for its owner, whatever others are asked for it', async () => {
    const { collect, identity } = await stage({ price: { input: 9, output: 9 } })
    const { routed } = await collect({ ...local, wishes: { maxPrice: { input: 0, output: 0 } } })
    expect(routed.node.id).toBe(identity.peerId)
  })

  it('goes to others when the model does not run here', async () => {
    const { collect, provider, engine } = await stage()
    // biome-ignore lint/correctness/useYield: it never comes to that.
    engine.script = async function* () {
      throw new PeerError('model_failed', 'Broken.')
    }
    await expect(collect(local)).rejects.toMatchObject({ code: 'model_failed' })
    const { peerId } = await provider({ model: { id: engine.status()[0]?.id ?? '' } })
    const { routed } = await collect(local)
    expect(routed.node.id).toBe(peerId)
    expect(routed.route.attempts.map(({ outcome }) => outcome)).toEqual(['model_failed', 'ok'])
  })

  it('waits its turn here, however free others are', async () => {
    const { collect, provider, engine } = await stage()
    await provider({ model: { id: engine.status()[0]?.id ?? '' } })
    // biome-ignore lint/correctness/useYield: it never comes to that.
    engine.script = async function* () {
      throw new BusyError('Full.')
    }
    await expect(collect(local)).rejects.toMatchObject({ code: 'overloaded' })
  })
})

describe('a caller that leaves', () => {
  /** Speaks until it is told to stop, and then says over how much. */
  const talker: Script = async (line) => {
    line.say(frames.accept(), frames.tokens(0, ['a', 'b']), frames.tokens(2, ['c']))
    for (;;) {
      const frame = await line.hear()
      if (frame === undefined) return
      if (frame.type !== 'cancel') continue
      const finish = ['cancelled' as const]
      // On its way when the word came.
      line.say(frames.tokens(3, ['d']), frames.done(frame.received[0] ?? 0, { finish }))
    }
  }

  it('has the provider stop, and is told what it had', async () => {
    const { coordinator, provider, clock, counted } = await stage()
    const { lines } = await provider({ script: talker })
    const leaving = new AbortController()
    const chunks = coordinator.generate(jobOf(), { signal: leaving.signal })
    const types: string[] = []
    for await (const chunk of chunks) {
      types.push(chunk.type)
      if (chunk.type === 'tokens' && chunk.index === 2) leaving.abort()
      if (chunk.type !== 'done') continue
      expect(chunk.finish).toEqual(['cancelled'])
      expect(chunk.usage).toEqual({ inputTokens: 5, cachedTokens: 0, outputTokens: 3 })
    }
    expect(types).toEqual(['accepted', 'routed', 'tokens', 'tokens', 'done'])
    await settled()
    expect(lines[0]?.heard.map(({ type }) => type)).toEqual(['cancel', 'ack'])
    expect(lines[0]?.heard[0]).toEqual({ type: 'cancel', received: [3] })
    expect(clock.pending).toBeLessThan(3)
    expect(counted).toEqual(['cancelled'])
  })

  it('disputes what it did not get', async () => {
    const { coordinator, provider } = await stage()
    const { lines } = await provider({
      script: async (line) => {
        line.say(frames.accept(), frames.tokens(0, ['a']))
        await line.hear()
        line.say(frames.done(40, { finish: ['cancelled'] }))
        await line.hear()
      },
    })
    const leaving = new AbortController()
    for await (const chunk of coordinator.generate(jobOf(), leaving)) {
      if (chunk.type === 'tokens') leaving.abort()
      if (chunk.type === 'done') expect(chunk.usage.outputTokens).toBe(1)
    }
    await settled()
    expect(lines[0]?.heard[1]).toMatchObject({ type: 'ack', dispute: 'count' })
  })

  it('waits for a second at most', async () => {
    const { collect, provider, clock } = await stage()
    const { lines } = await provider({
      script: async (line) => {
        line.say(frames.accept())
        await new Promise(() => {})
      },
    })
    const leaving = new AbortController()
    const answer = collect({}, leaving)
    await clock.advance(100)
    leaving.abort()
    await clock.advance(999)
    expect(lines[0]?.stream.ended.aborted).toBe(false)
    await clock.advance(1)
    expect((await answer).done.finish).toEqual(['cancelled'])
    expect(lines[0]?.stream.ended.aborted).toBe(true)
  })

  it('without a word has the provider stop as well', async () => {
    const { coordinator, provider } = await stage()
    const { lines } = await provider({ script: talker })
    for await (const chunk of coordinator.generate(jobOf(), { signal })) {
      if (chunk.type === 'tokens') break
    }
    await settled()
    expect(lines[0]?.heard.map(({ type }) => type)).toEqual(['cancel', 'ack'])
    expect(coordinator.activity().requests).toEqual({ inFlight: 0, last60s: 1, failed60s: 0 })
  })

  it('before anything began asks nobody', async () => {
    const { collect, provider } = await stage()
    const { lines } = await provider()
    const answer = await collect({}, { signal: AbortSignal.abort() })
    expect(answer.chunks.map(({ type }) => type)).toEqual(['done'])
    expect(lines).toHaveLength(0)
  })

  it('is what the end of this peer looks like', async () => {
    const { collect, provider, coordinator, clock } = await stage()
    await provider({ script: talker })
    const answer = collect()
    await settled()
    await Promise.all([coordinator.stop(), clock.advance(2_000)])
    expect((await answer).done.finish).toEqual(['cancelled'])
  })
})
