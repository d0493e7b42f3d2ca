import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HOLD_MS } from '../../src/market/serve/coalescer.ts'
import type { Tokens } from '../../src/wire/chunk.ts'
import { FRAME_BYTES_MAX } from '../../src/wire/protocols.ts'
import { ANSWER_TEXT, vectorOf } from '../api/scripted-engine.ts'
import { settled } from '../base/fake-clock.ts'
import { rounds } from '../campaign.ts'
import { chat, HandEngine, modelId, stage } from './serve-stage.ts'

/** A job whose chunks come from the test. */
async function byHand(options: Parameters<typeof stage>[0] = {}) {
  const all = await stage(options)
  const hand = new HandEngine()
  all.engine.script = hand.script
  const coordinator = await all.coordinator()
  return { ...all, hand, coordinator }
}

describe('a job', () => {
  it('is accepted, answered, acknowledged, and its stream ended', async () => {
    const { coordinator, clock, engine, provider, outcomes, faults } = await stage().then(withOne)
    const line = await coordinator.ask({ work: chat('hello', { maxTokens: 4 }) })
    await clock.advance(5)
    expect(line.types()).toEqual(['accept', 'progress', 'tokens', 'tokens', 'done'])
    expect(line.last('accept')).toMatchObject({
      inputTokens: 5,
      price: { input: 10, output: 20 },
      allowance: 1,
    })
    expect(line.all('tokens').map(({ first, ids }) => [first, ids])).toEqual([
      [0, [0]],
      [1, [1, 2, 3]],
    ])
    expect(line.text()).toBe('Hello there, f')
    expect(line.last('done')).toMatchObject({
      finish: ['length'],
      usage: { inputTokens: 5, cachedTokens: 2, outputTokens: 4 },
    })
    expect(provider.status()).toEqual({ open: 1, coordinators: 1, draining: false })
    await line.ack()
    expect(line.closed).toBe(true)
    expect(provider.status().open).toBe(0)
    expect(outcomes).toEqual(['done'])
    expect(faults()).toEqual([])
    expect(engine.aborted).toBe(0)
    expect(clock.pending).toBe(0)
  })

  it('reaches the engine by the name of its model, in the queue of its coordinator', async () => {
    const { coordinator, engine } = await stage().then(withOne)
    const scope = new Uint8Array(32).fill(0xab)
    await coordinator.finish({ jobId: 'job_x.1', cacheScope: scope })
    await coordinator.finish({ jobId: 'job_y.2', cacheScope: new Uint8Array() })
    const { peerId } = coordinator
    expect(engine.jobs).toMatchObject([
      { id: 'job_x.1', model: 'test-chat', queueScope: 'newcomers', queueShare: 0.25 },
      { id: 'job_y.2', queueScope: peerId, cacheScope: `${peerId}:job/job_y.2` },
    ])
    expect(engine.jobs[1]?.queueShare).toBeUndefined()
    expect(engine.jobs[0]?.cacheScope).toBe(`${peerId}:${'ab'.repeat(32)}`)
    expect(engine.jobs[0]?.work).toEqual(chat())
  })

  it('may have a body of many frames', async () => {
    const { coordinator, engine } = await stage().then(withOne)
    const work = chat('€'.repeat(100_000))
    await coordinator.finish({ work })
    expect(engine.jobs[0]?.work).toEqual(work)
  })

  it('brings log-probabilities, and several answers', async () => {
    const { coordinator, clock } = await stage().then(withOne)
    const line = await coordinator.ask({ work: chat('hello', { logprobs: 2, choices: 3 }) })
    await clock.advance(5)
    for (const choice of [0, 1, 2]) expect(line.text(choice)).toBe(ANSWER_TEXT)
    const first = line.all('tokens')[0]
    expect(first?.logprobs).toMatchObject([
      { token: 'Hello', logprob: -0.25, top: [{}, { logprob: -9999 }] },
    ])
    const scored = line.all('tokens').flatMap(({ logprobs }) => logprobs)
    expect(scored.length).toBe(line.last('done').usage.outputTokens)
  })

  it('brings vectors', async () => {
    const { coordinator, engine } = await stage().then(withOne)
    const work = { kind: 'embedding' as const, inputs: ['a', 'b', 'c'] }
    const line = await coordinator.ask({ work, model: modelId('test-embed') })
    expect(engine.jobs[0]?.model).toBe('test-embed')
    expect(line.all('vectors').map(({ first }) => first)).toEqual([2, 1, 0])
    expect(line.all('vectors')[2]?.values).toEqual(vectorOf('a', 8))
    expect(line.last('done')).toMatchObject({ finish: [], usage: { inputTokens: 3 } })
  })

  it('arrives whole, however its tokens are cut and paced', async () => {
    const chunk = fc.record({
      ids: fc.integer({ min: 1, max: 30 }),
      text: fc.string({ unit: 'grapheme', maxLength: 30 }),
      waitMs: fc.constantFrom(0, 0, 0, 2, 7, 600),
    })
    const run = async (chunks: { ids: number; text: string; waitMs: number }[]) => {
      const { coordinator, clock, engine } = await stage().then(withOne)
      engine.script = async function* (_job, signal) {
        yield { type: 'accepted', inputTokens: 1 }
        let index = 0
        for (const { ids, text, waitMs } of chunks) {
          if (waitMs > 0) await clock.sleep(waitMs, signal)
          const tokens: Tokens = { type: 'tokens', choice: 0, index, ids: [], text }
          for (let at = 0; at < ids; at++) tokens.ids.push(1000 + index++)
          yield tokens
        }
        const usage = { inputTokens: 1, cachedTokens: 0, outputTokens: index }
        yield { type: 'done', finish: ['stop'], usage }
      }
      const line = await coordinator.ask()
      await clock.advance(chunks.reduce((sum, { waitMs }) => sum + waitMs, HOLD_MS))
      const { outputTokens } = line.last('done').usage
      expect(line.text()).toBe(chunks.map(({ text }) => text).join(''))
      const indices = line.all('tokens').flatMap(({ first, ids }) => ids.map((_, at) => first + at))
      expect(indices).toEqual(Array.from({ length: outputTokens }, (_, at) => at))
      expect(line.all('tokens').flatMap(({ ids }) => ids)).toEqual(indices.map((at) => 1000 + at))
      expect(Math.max(...line.sizes)).toBeLessThanOrEqual(FRAME_BYTES_MAX)
      await line.ack()
    }
    await fc.assert(fc.asyncProperty(fc.array(chunk, { maxLength: 20 }), run), {
      numRuns: rounds(20, 300),
    })
  })
})

describe('while a job is at work', () => {
  it('something is said every half a second, with what is known by then', async () => {
    const { hand, coordinator, clock } = await byHand()
    const line = await coordinator.ask()
    expect(line.types()).toEqual([])
    await clock.advance(20)
    expect(line.types()).toEqual(['accept'])
    expect(line.last('accept').inputTokens).toBe(0)
    await clock.advance(1000)
    expect(line.types()).toEqual(['accept', 'progress', 'progress'])
    hand.chunks.push({ type: 'progress', queued: 2, prefilled: 0, total: 0 })
    await settled()
    expect(line.last('progress')).toMatchObject({ queued: 2, inputTokens: 0 })
    hand.accept(3)
    await settled()
    expect(line.last('progress')).toMatchObject({ inputTokens: 3 })
    hand.chunks.push({ type: 'progress', queued: 0, prefilled: 2, total: 3 })
    await clock.advance(500)
    expect(line.last('progress')).toMatchObject({ queued: 0, prefilled: 2, total: 3 })
    for (let second = 0; second < 5; second++) {
      const before = line.frames.length
      hand.say('slow ')
      await clock.advance(1000)
      const said = line.types().slice(before)
      // A segment stands with the tokens that it covers.
      const rest = said.filter((type) => type !== 'segment')
      expect(rest).toEqual(['tokens', 'progress', 'progress'])
    }
    hand.end()
    await settled()
    const end = line.frames.length
    expect(line.types().at(-1)).toBe('done')
    await clock.advance(2000)
    expect(line.frames.length).toBe(end)
  })

  it('a token that comes alone is not held, and those after it no longer than 5 ms', async () => {
    const { hand, coordinator, clock } = await byHand()
    const line = await coordinator.ask()
    hand.accept()
    for (const word of ['a', 'b', 'c']) hand.say(word)
    await settled()
    expect(line.text()).toBe('a')
    await clock.advance(5)
    expect(line.text()).toBe('abc')
    await clock.advance(5)
    hand.say('d')
    await settled()
    expect(line.text()).toBe('abcd')
    expect(line.all('tokens').map(({ first }) => first)).toEqual([0, 1, 3])
  })

  it('the queue takes turns by coordinator, and tells the place in it', async () => {
    const { engine, coordinator: join, clock } = await stage({ slots: 1 })
    const [a, b] = [await join(2), await join(3)]
    for (let grown = 0; grown < 4; grown++) await a.finish()
    const hands = Array.from({ length: 5 }, () => new HandEngine())
    let next = 0
    engine.script = (...all) => (hands[next++] as HandEngine).script(...all)
    const before = engine.jobs.length
    for (const name of ['a1', 'a2', 'a3', 'a4']) await a.ask({ jobId: name })
    const waiting = await b.ask({ jobId: 'b1' })
    expect(waiting.last('progress').queued).toBe(2)
    for (const hand of hands) {
      hand.accept()
      hand.end()
      await clock.advance(1)
    }
    expect(engine.jobs.slice(before).map(({ id }) => id)).toEqual(['a1', 'a2', 'b1', 'a3', 'a4'])
  })
})

describe('newcomers', () => {
  it('take turns as one, however many they are, until they have acknowledged something', async () => {
    const { engine, coordinator: join, clock } = await stage({ slots: 1 })
    const known = await join(2)
    await known.finish()
    const hands = Array.from({ length: 6 }, () => new HandEngine())
    let next = 0
    engine.script = (...all) => (hands[next++] as HandEngine).script(...all)
    const before = engine.jobs.length
    for (let seed = 3; seed < 7; seed++) await (await join(seed)).ask({ jobId: `new_${seed}` })
    for (const name of ['known_1', 'known_2']) await known.ask({ jobId: name })
    for (const hand of hands) {
      hand.accept()
      hand.end()
      await clock.advance(1)
    }
    const order = ['new_3', 'new_4', 'known_1', 'new_5', 'known_2', 'new_6']
    expect(engine.jobs.slice(before).map(({ id }) => id)).toEqual(order)
  })
})

describe('a provider that leaves', () => {
  it('takes no new jobs, and lets those at work end', async () => {
    const { hand, coordinator, clock, provider, outcomes } = await byHand()
    const line = await coordinator.ask()
    hand.accept()
    await settled()
    const half = await coordinator.line()
    let stopped = false
    const stopping = provider.stop().then(() => {
      stopped = true
    })
    await settled()
    expect(half.last('refuse').code).toBe('draining')
    expect((await coordinator.ask()).last('refuse').code).toBe('draining')
    expect(provider.status().draining).toBe(true)
    hand.say('still')
    hand.end()
    await settled()
    expect(line.text()).toBe('still')
    expect(stopped).toBe(false)
    await line.ack()
    await stopping
    expect(outcomes).toEqual(['draining', 'draining', 'done'])
    expect(clock.pending).toBe(0)
  })

  it('ends those that take too long', async () => {
    const { hand, coordinator, clock, provider, outcomes } = await byHand({ drainMs: 3000 })
    const line = await coordinator.ask()
    hand.accept()
    const stopping = provider.stop()
    await clock.advance(2999)
    expect(hand.aborted).toBe(false)
    await clock.advance(1)
    expect(hand.aborted).toBe(true)
    expect(line.last('failed').code).toBe('shutting_down')
    await stopping
    await provider.stop()
    expect(outcomes).toEqual(['shutting_down'])
  })
})

async function withOne(all: Awaited<ReturnType<typeof stage>>) {
  return { ...all, coordinator: await all.coordinator() }
}
