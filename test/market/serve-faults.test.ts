import { describe, expect, it } from 'vitest'
import { PeerError } from '../../src/base/errors.ts'
import { HOLD_MS } from '../../src/market/serve/coalescer.ts'
import type { Chunk, Generate } from '../../src/wire/chunk.ts'
import { endless, silence } from '../api/scripted-engine.ts'
import { settled } from '../base/fake-clock.ts'
import { chat, HandEngine, type StageOptions, stage } from './serve-stage.ts'

/** A coordinator with a job at work, whose chunks come from the test. */
async function atWork(options: StageOptions = {}) {
  const all = await stage(options)
  const hand = new HandEngine()
  all.engine.script = hand.script
  const coordinator = await all.coordinator()
  const line = await coordinator.ask()
  hand.accept()
  await settled()
  return { ...all, coordinatorOf: all.coordinator, coordinator, hand, line }
}

describe('a cancelled job', () => {
  it('stops at once, and counts what its coordinator says that it has', async () => {
    const { hand, line, clock, provider, outcomes } = await atWork()
    for (const word of ['a', 'b', 'c']) hand.say(word)
    await clock.advance(HOLD_MS)
    const frames = line.frames.length
    // Ready, and held, and never sent.
    hand.say('d')
    await line.cancel(1)
    expect(hand.aborted).toBe(true)
    const [done, ...more] = line.frames.slice(frames)
    expect(done).toMatchObject({
      type: 'done',
      finish: ['cancelled'],
      usage: { inputTokens: 3, outputTokens: 1 },
    })
    await clock.advance(1000)
    expect(more).toEqual([])
    expect(line.frames.length).toBe(frames + 1)
    await line.ack()
    expect(line.closed).toBe(true)
    expect(provider.status().open).toBe(0)
    expect(outcomes).toEqual(['cancelled'])
    expect(clock.pending).toBe(0)
  })

  it('earns nobody more of them by its Ack: it may have had a single token', async () => {
    const { hand, line, clock, coordinator, engine } = await atWork()
    hand.say('a')
    await clock.advance(HOLD_MS)
    await line.cancel(1)
    await line.ack()
    engine.script = silence
    expect((await coordinator.ask()).last('accept').allowance).toBe(1)
    expect((await coordinator.ask()).last('refuse').code).toBe('allowance')
  })

  it('counts each of several answers', async () => {
    const { coordinator, clock, engine } = await stage().then(withOne)
    engine.script = async function* (_job, signal) {
      yield { type: 'accepted', inputTokens: 1 }
      for (const choice of [0, 1, 2]) {
        yield { type: 'tokens', choice, index: 0, ids: [1, 2, 3], text: 'abc' }
      }
      await clock.sleep(60_000, signal).catch(() => {})
    }
    const line = await coordinator.ask({ work: chat('hello', { choices: 3 }) })
    await line.cancel(3, 0, 3)
    expect(line.last('done')).toMatchObject({
      finish: ['cancelled', 'cancelled', 'cancelled'],
      usage: { outputTokens: 6 },
    })
  })

  it('ends in the queue as well, and before it was accepted', async () => {
    const { coordinator, clock, engine, outcomes } = await stage().then(withOne)
    engine.script = async function* (_job, signal) {
      await clock.sleep(60_000, signal).catch(() => {})
      yield {
        type: 'done',
        finish: [],
        usage: { inputTokens: 0, cachedTokens: 0, outputTokens: 0 },
      }
    }
    const line = await coordinator.ask()
    await line.cancel()
    expect(line.types()).toEqual(['accept', 'done'])
    expect(line.last('done').finish).toEqual(['cancelled'])
    await line.ack()
    // Nothing was done for it, so nothing is owed, nor was anything earned by it.
    await (await coordinator.ask()).cancel()
    await clock.advance(10_000)
    await coordinator.ask()
    expect((await coordinator.ask()).last('refuse').code).toBe('allowance')
    expect(outcomes).toEqual(['cancelled', 'cancelled', 'allowance'])
  })

  it('does not wait for an engine that does not hear', async () => {
    const { coordinator, engine } = await stage().then(withOne)
    engine.script = async function* () {
      yield { type: 'accepted', inputTokens: 1 }
      await new Promise(() => {})
    }
    const line = await coordinator.ask()
    await line.cancel(0)
    expect(line.last('done').finish).toEqual(['cancelled'])
    await line.ack()
    expect(line.closed).toBe(true)
  })

  it('cannot have more than was sent: that is a fault, and ends the job', async () => {
    const { hand, line, coordinator, faults, outcomes } = await atWork()
    hand.say('a')
    await settled()
    await line.cancel(2)
    expect(hand.aborted).toBe(true)
    expect(line.last('failed')).toMatchObject({ code: 'malformed' })
    expect(faults()).toEqual([
      { peerId: coordinator.peerId, action: 'penalise', reason: 'malformed' },
    ])
    expect(outcomes).toEqual(['malformed'])
  })

  it('ends where a frame ended: that it does not is a fault as well', async () => {
    const { hand, line, clock, coordinator, faults } = await atWork()
    for (const word of ['a', 'b', 'c']) hand.say(word)
    await clock.advance(HOLD_MS)
    expect(line.all('tokens').map(({ ids }) => ids.length)).toEqual([1, 2])
    await line.cancel(2)
    expect(line.last('failed')).toMatchObject({ code: 'malformed' })
    expect(faults()).toEqual([
      { peerId: coordinator.peerId, action: 'penalise', reason: 'malformed' },
    ])
  })

  it('that was done already is done', async () => {
    const { hand, line, faults, outcomes } = await atWork()
    hand.say('a')
    hand.end()
    await settled()
    await line.cancel(0)
    expect(line.all('done')).toMatchObject([{ finish: ['stop'], usage: { outputTokens: 1 } }])
    await line.ack()
    expect(outcomes).toEqual(['done'])
    expect(faults()).toEqual([])
  })
})

describe('a coordinator that is gone', () => {
  it.each<[how: string, leave: (all: Awaited<ReturnType<typeof atWork>>) => Promise<void>]>([
    ['it resets the stream', ({ line }) => line.reset()],
    ['it ends its part', ({ line }) => line.stream.close()],
    ['its process dies', async ({ hub, coordinator }) => hub.kill(coordinator.peerId)],
  ])('ends its job at once: %s', async (_how, leave) => {
    const all = await atWork()
    await leave(all)
    await settled()
    expect(all.hand.aborted).toBe(true)
    expect(all.provider.status().open).toBe(0)
    expect(all.outcomes).toEqual(['gone'])
    await all.clock.advance(1000)
    expect(all.clock.pending).toBe(0)
    await all.provider.stop()
    expect(all.logged).toEqual([])
  })

  it('gives its slot back in the middle of a prompt', async () => {
    const { coordinator, coordinatorOf, clock, engine } = await stage({ slots: 1 }).then(withOne)
    engine.script = silence
    const line = await coordinator.ask()
    const other = await coordinatorOf(3)
    const waiting = await other.ask()
    expect(waiting.last('progress').queued).toBe(1)
    await line.reset()
    expect(waiting.last('progress').queued).toBe(0)
    await clock.advance(30_000)
    expect(engine.aborted).toBe(1)
    expect(engine.running).toBe(1)
  })

  it('leaves the queue when it waits there', async () => {
    const { coordinator, coordinatorOf, engine } = await stage({ slots: 1 }).then(withOne)
    engine.script = silence
    await coordinator.ask()
    const third = await coordinatorOf(3)
    const waiting = await third.ask()
    const behind = await (await coordinatorOf(4)).ask()
    expect(behind.last('progress').queued).toBe(2)
    await waiting.reset()
    expect(behind.last('progress').queued).toBe(1)
    // Nothing was done for it yet, so nothing is owed.
    expect((await third.ask()).has('accept')).toBe(true)
  })

  it('and whose job is still to be read, has none', async () => {
    const { coordinator, engine, outcomes } = await stage().then(withOne)
    const line = await coordinator.ask({ pieces: 0 })
    line.sendBody()
    await line.reset()
    expect(engine.jobs).toEqual([])
    expect(outcomes).toEqual(['gone'])
  })

  it('is none the less gone when the engine fails of it', async () => {
    const generate: Generate = (_job, { signal }) => {
      const failing = () =>
        new Promise<never>((_, reject) => {
          signal.addEventListener('abort', () => reject(new Error('what now')))
        })
      const value: Chunk = { type: 'accepted', inputTokens: 1 }
      const results: Promise<IteratorResult<Chunk>>[] = [Promise.resolve({ value })]
      return { [Symbol.asyncIterator]: () => ({ next: () => results.pop() ?? failing() }) }
    }
    const { coordinator, outcomes, logged } = await stage({ generate }).then(withOne)
    const line = await coordinator.ask()
    await line.reset()
    expect(outcomes).toEqual(['gone'])
    expect(logged).toEqual([])
  })

  it('must wait, and has half its allowance, as work of its was never acknowledged', async () => {
    const { coordinator, clock, engine } = await stage().then(withOne)
    for (let job = 0; job < 5; job++) await coordinator.finish()
    engine.script = silence
    const lines = await Promise.all([1, 2, 3].map(() => coordinator.ask()))
    expect(lines.map((line) => line.last('accept').allowance)).toEqual([6, 6, 6])
    await Promise.all(lines.map((line) => line.reset()))
    // Cut off together, they halve it once, to 3, and hold all of it but one place.
    expect((await coordinator.ask()).last('accept').allowance).toBe(3)
    expect((await coordinator.ask()).last('refuse').code).toBe('allowance')
    await clock.advance(60_000)
    // The one that was taken on has run out of its time, too.
    for (const _place of [1, 2, 3]) expect((await coordinator.ask()).has('accept')).toBe(true)
    expect((await coordinator.ask()).last('refuse').code).toBe('allowance')
  })
})

describe('a coordinator that does not acknowledge', () => {
  it('is not waited for', async () => {
    const { hand, line, clock, provider, outcomes, faults } = await atWork()
    hand.end()
    await clock.advance(9_999)
    expect(provider.status().open).toBe(1)
    await clock.advance(1)
    expect(provider.status().open).toBe(0)
    await settled()
    expect(line.closed).toBe(true)
    expect(outcomes).toEqual(['done'])
    expect(faults()).toEqual([])
  })

  it('or disputes, or says something else, does not gain by it', async () => {
    const { coordinator, clock } = await stage().then(withOne)
    for (let job = 0; job < 3; job++) await coordinator.finish()
    const line = await coordinator.ask()
    expect(line.last('accept').allowance).toBe(4)
    await line.ack('count')
    const next = await coordinator.ask()
    expect(next.last('accept').allowance).toBe(2)
    next.send({ type: 'body', bytes: new Uint8Array(1) })
    await settled()
    expect((await coordinator.ask()).last('refuse').code).toBe('allowance')
    await clock.advance(60_000)
    expect((await coordinator.ask()).last('accept').allowance).toBe(1)
  })
})

describe('a coordinator that says what is not to be said', () => {
  it.each([
    ['an Ack before the end', Uint8Array.of(0x22, 0x00)],
    ['more of the body', Uint8Array.of(0x12, 0x01, 0x00)],
    ['garbage', new Uint8Array(50).fill(0xff)],
  ])('loses its job: %s', async (_what, frame) => {
    const { hand, line, coordinator, faults, provider, clock } = await atWork()
    line.stream.write(frame)
    await settled()
    expect(hand.aborted).toBe(true)
    expect(line.last('failed').code).toBe('malformed')
    expect(faults()).toMatchObject([{ peerId: coordinator.peerId, action: 'penalise' }])
    await clock.advance(1000)
    expect(provider.status().open).toBe(0)
    expect(clock.pending).toBe(0)
  })
})

describe('a coordinator that does not read', () => {
  it('loses its job and its stream, and holds nothing up', async () => {
    const { coordinator, clock, engine, provider, outcomes } = await stage().then(withOne)
    let made = 0
    engine.script = async function* (job, signal) {
      for await (const chunk of endless(job, signal)) {
        made++
        yield chunk.type === 'tokens' ? { ...chunk, text: 'x'.repeat(16_000) } : chunk
      }
    }
    const line = await coordinator.ask({ deaf: true })
    for (let turn = 0; turn < 60; turn++) await clock.advance(10)
    const before = made
    await clock.advance(29_000)
    // What the stream takes without being read, and no more.
    expect(made).toBe(before)
    expect(made * 16_000).toBeLessThan(1024 * 1024)
    expect(provider.status().open).toBe(1)
    await clock.advance(1000)
    expect(engine.aborted).toBe(1)
    expect(provider.status().open).toBe(0)
    expect(line.stream.ended.aborted).toBe(false)
    await clock.advance(1000)
    expect(line.stream.ended.aborted).toBe(true)
    expect(outcomes).toEqual(['reader_too_slow'])
    // What was done for it is not paid.
    expect((await coordinator.ask()).last('refuse').code).toBe('allowance')
    expect(clock.pending).toBe(0)
  })

  it('and begins again in time has all of it', async () => {
    const { coordinator, clock, engine } = await stage().then(withOne)
    engine.script = async function* () {
      yield { type: 'accepted', inputTokens: 1 }
      for (let index = 0; index < 100; index++) {
        yield { type: 'tokens', choice: 0, index, ids: [index], text: 'y'.repeat(10_000) }
      }
      const usage = { inputTokens: 1, cachedTokens: 0, outputTokens: 100 }
      yield { type: 'done', finish: ['stop'], usage }
    }
    const line = await coordinator.ask({ deaf: true })
    await clock.advance(25_000)
    line.listen()
    await clock.advance(100)
    expect(line.text().length).toBe(1_000_000)
    // Nothing was said that it would only have had to read later.
    expect(line.all('progress').length).toBeLessThan(4)
    expect(line.has('done')).toBe(true)
  })
})

describe('an engine that fails', () => {
  it('after it has begun, ends the answer with its reason', async () => {
    const { hand, line, outcomes, coordinator, engine } = await atWork()
    hand.say('a')
    hand.fail(new PeerError('engine_failed', 'The engine process stopped. Ask again.'))
    await settled()
    expect(line.text()).toBe('a')
    expect(line.last('failed')).toMatchObject({
      code: 'engine_failed',
      message: 'The engine process stopped. Ask again.',
    })
    expect(outcomes).toEqual(['engine_failed'])
    // It was our fault.
    engine.script = silence
    expect((await coordinator.ask()).has('accept')).toBe(true)
  })

  it.each<[how: string, break_: (hand: HandEngine) => void]>([
    ['throws anything', (hand) => hand.fail(new TypeError('x is not a function of /home/me'))],
    ['ends without an end', (hand) => hand.chunks.close()],
    [
      'makes vectors that no frame holds',
      (hand) => {
        hand.chunks.push({ type: 'vectors', first: 0, vectors: [new Float32Array(20_000)] })
      },
    ],
  ])('unexpectedly is logged here, and not told: it %s', async (_how, break_) => {
    const { hand, line, logged, outcomes } = await atWork()
    break_(hand)
    await settled()
    expect(line.last('failed')).toMatchObject({ code: 'internal_error', param: '' })
    expect(line.last('failed').message).not.toContain('home')
    expect(logged).toMatchObject([{ message: 'job failed' }])
    expect(outcomes).toEqual(['internal_error'])
  })
})

async function withOne(all: Awaited<ReturnType<typeof stage>>) {
  return { ...all, coordinatorOf: all.coordinator, coordinator: await all.coordinator() }
}
