import { describe, expect, it } from 'vitest'
import { BusyError, PeerError } from '../../src/base/errors.ts'
import { identityFromSeed } from '../../src/identity/identity.ts'
import type { ProviderOptions } from '../../src/market/serve/provider.ts'
import { SEEN_MS_MIN } from '../../src/market/serve/seen-jobs.ts'
import { encodeWork, promptRoot } from '../../src/wire/job-body.ts'
import { FRAME_BYTES_MAX } from '../../src/wire/protocols.ts'
import { silence } from '../api/scripted-engine.ts'
import { settled } from '../base/fake-clock.ts'
import { type Ask, chat, HandEngine, modelId, stage } from './serve-stage.ts'

const stranger = identityFromSeed(new Uint8Array(32).fill(77))

const begun = (choice: number) => ({ choice, text: 'a', ids: [1] })

/** What becomes of one job, sent to a provider with these options. */
async function refused(ask: Ask, options: Partial<ProviderOptions> = {}) {
  const all = await stage(options)
  const coordinator = await all.coordinator()
  const line = await coordinator.ask(ask)
  await all.clock.advance(20)
  expect(all.engine.running).toBe(0)
  const { code, message, param, retryAfterMs } = line.last('refuse')
  expect(line.types()).toEqual(['refuse'])
  expect(line.closed).toBe(true)
  expect(all.outcomes).toEqual([code])
  expect(all.provider.status().open).toBe(0)
  const fault = all.faults().find(({ peerId }) => peerId === coordinator.peerId)
  return { code, message, param, retryAfterMs, fault: fault?.action, jobs: all.engine.jobs.length }
}

describe('a job is refused', () => {
  it.each<[why: string, ask: Ask, code: string, options?: Partial<ProviderOptions>]>([
    ['for a model that is not here', { model: modelId('another') }, 'unknown_model'],
    ['for a kind of work that is not done', { kind: 'speech' }, 'unsupported_kind'],
    ['for a kind of the future', { kind: 'unknown' }, 'unsupported_kind'],
    ['when it wants a second opinion', { verification: 'cross-node' }, 'unsupported'],
    ['for the EU, from outside', { jurisdiction: 'EU' }, 'wrong_region', { region: 'CH' }],
    ['for a region, without one', { jurisdiction: 'DE' }, 'wrong_region', { region: undefined }],
    ['when its prompts may cost less', { maxPrice: { input: 9, output: 20 } }, 'price_too_low'],
    ['when its answers may cost less', { maxPrice: { input: 10, output: 19 } }, 'price_too_low'],
  ])('%s', async (_why, ask, code, options) => {
    expect(await refused(ask, options)).toMatchObject({ code, fault: undefined, jobs: 0 })
  })

  it.each<[why: string, ask: Ask, code: string]>([
    ['for another provider', { provider: stranger.peerId }, 'not_for_me'],
    [
      'of another coordinator, signed by that one',
      { coordinator: stranger.peerId, signer: stranger },
      'not_yours',
    ],
    ['of its sender, signed by another', { signer: stranger }, 'bad_signature'],
    ['whose body is another than its root says', { body: new Uint8Array(211) }, 'malformed'],
    ['whose body is longer than it says', { bodyBytes: 3 }, 'malformed'],
    ['whose seed is not that of its body', { seed: 8 }, 'malformed'],
    ['that goes on with a choice it does not have', { resume: [begun(1)] }, 'malformed'],
    [
      'that goes on with vectors',
      { work: { kind: 'embedding', inputs: ['a'] }, resume: [begun(0)] },
      'malformed',
    ],
    [
      'whose resumes are others than their hash says',
      { resume: [begun(0)], resumeHash: new Uint8Array(32) },
      'malformed',
    ],
  ])('%s, which is a fault', async (_why, ask, code) => {
    expect(await refused(ask)).toMatchObject({ code, fault: 'penalise', jobs: 0 })
  })

  it('not for what this peer is or asks', async () => {
    const { coordinator, outcomes } = await stage({ region: 'FR' }).then(withOne)
    await coordinator.finish({ jurisdiction: 'EU' })
    await coordinator.finish({ jurisdiction: 'FR', maxPrice: { input: 10, output: 20 } })
    await coordinator.finish({ provisional: true, publish: 'none', receiptPrivacy: 'salted' })
    expect(outcomes).toEqual(['done', 'done', 'done'])
  })

  it('the second time, whether it ended or not', async () => {
    const { coordinator, engine, faults } = await stage().then(withOne)
    const first = await coordinator.ask({ jobId: 'job_once.1' })
    expect((await coordinator.ask({ jobId: 'job_once.1' })).last('refuse').code).toBe('replayed')
    await first.ack()
    expect((await coordinator.ask({ jobId: 'job_once.1' })).last('refuse').code).toBe('replayed')
    expect(await coordinator.finish({ jobId: 'job_once.2' })).toBe(true)
    expect(engine.jobs.length).toBe(2)
    expect(faults().map(({ reason }) => reason)).toEqual(['replayed', 'replayed'])
  })

  it('with what the engine says of it, in its words', async () => {
    const { coordinator, engine, faults, outcomes } = await stage().then(withOne)
    const say = async (error: unknown) => {
      // biome-ignore lint/correctness/useYield: an engine that refuses says nothing.
      engine.script = async function* () {
        throw error
      }
      const { code, message, param, retryAfterMs } = (await coordinator.ask()).last('refuse')
      return { code, message, param, retryAfterMs }
    }
    expect(await say(new BusyError('The queue is full.', 7000))).toEqual({
      code: 'overloaded',
      message: 'The queue is full.',
      param: '',
      retryAfterMs: 7000,
    })
    const tooLong = new PeerError('context_length_exceeded', 'Shorten it.', { param: 'messages' })
    expect(await say(tooLong)).toMatchObject({ message: 'Shorten it.', param: 'messages' })
    const unloadable = new PeerError('model_failed', 'Cannot read /home/me/secret.gguf.')
    expect(await say(unloadable)).toMatchObject({ message: 'The provider cannot load it.' })
    expect(outcomes).toEqual(['overloaded', 'context_length_exceeded', 'model_failed'])
    // None of these is a fault of the coordinator, nor counts against its allowance.
    expect(faults()).toEqual([])
  })

  it('for what only a newer version knows, which is no fault', async () => {
    const known = new TextDecoder().decode(encodeWork(chat('hi')))
    const body = new TextEncoder().encode(known.replace('"role":"user"', '"role":"oracle"'))
    const promptNonce = new Uint8Array(32)
    const fields = {
      bodyBytes: body.length,
      promptNonce,
      promptRoot: promptRoot(promptNonce, body),
    }
    const { code, fault } = await refused({ body, ...fields })
    expect({ code, fault }).toEqual({ code: 'unsupported_value', fault: undefined })
  })

  it('when the prompts that are here are too large together', async () => {
    const { coordinator, coordinatorOf, engine } = await stage({
      admission: { bodyBytesMax: 100_000, bodyBytesOfOneMax: 80_000 },
    }).then(withOne)
    engine.script = silence
    const work = chat('x'.repeat(70_000))
    expect((await coordinator.ask({ work })).has('accept')).toBe(true)
    const other = await coordinatorOf(3)
    expect((await other.ask({ work })).last('refuse').code).toBe('overloaded')
    expect((await other.ask()).has('accept')).toBe(true)
  })

  it('while its coordinator has as many as it may', async () => {
    const { coordinator, coordinatorOf, engine } = await stage().then(withOne)
    engine.script = silence
    await coordinator.ask()
    const { code, retryAfterMs } = (await coordinator.ask()).last('refuse')
    expect({ code, retryAfterMs }).toEqual({ code: 'allowance', retryAfterMs: 1000 })
    // Nobody else is the worse for it.
    expect((await (await coordinatorOf(3)).ask()).has('accept')).toBe(true)
  })

  it('when it has expired before it could begin', async () => {
    const { coordinator, clock, engine } = await stage().then(withOne)
    const line = await coordinator.ask({ expiresInMs: 1000, pieces: 0 })
    await clock.advance(1000)
    line.sendBody()
    await settled()
    expect(line.last('refuse').code).toBe('expired')
    expect(engine.jobs).toEqual([])
  })
})

describe('a job that waits', () => {
  it('is dropped when it expires, unless the engine has begun with it', async () => {
    const { coordinator, coordinatorOf, clock, engine, outcomes } = await stage().then(withOne)
    const waiting = new HandEngine()
    engine.script = waiting.script
    const line = await coordinator.ask({ expiresInMs: 2000 })
    waiting.chunks.push({ type: 'progress', queued: 3, prefilled: 0, total: 0 })
    await clock.advance(1999)
    expect(waiting.aborted).toBe(false)
    await clock.advance(1)
    expect(waiting.aborted).toBe(true)
    expect(line.last('failed').code).toBe('expired')

    const begun = new HandEngine()
    engine.script = begun.script
    const other = await (await coordinatorOf(3)).ask({ expiresInMs: 2000 })
    begun.accept()
    await clock.advance(10_000)
    begun.end()
    await settled()
    expect(other.has('done')).toBe(true)
    expect(outcomes).toEqual(['expired'])
  })

  it('ends at the deadlines that it came with', async () => {
    const { coordinator, coordinatorOf, clock, engine } = await stage().then(withOne)
    const silent = new HandEngine()
    engine.script = silent.script
    const line = await coordinator.ask({ firstTokenMs: 3000 })
    silent.accept()
    await clock.advance(2999)
    expect(silent.aborted).toBe(false)
    await clock.advance(1)
    expect(silent.aborted).toBe(true)
    expect(line.last('failed')).toMatchObject({
      code: 'deadline_exceeded',
      message: 'The first token took longer than 3000 ms.',
    })

    const slow = new HandEngine()
    engine.script = slow.script
    const other = await (await coordinatorOf(3)).ask({ firstTokenMs: 3000, totalMs: 5000 })
    slow.accept()
    slow.say('one')
    await clock.advance(4999)
    expect(other.has('failed')).toBe(false)
    await clock.advance(1)
    expect(other.last('failed').message).toBe('The answer took longer than 5000 ms.')
    expect(slow.aborted).toBe(true)
  })
})

describe('deadlines', () => {
  it('count from the arrival of the job, and end for vectors with the first', async () => {
    const { coordinator, coordinatorOf, clock, engine } = await stage().then(withOne)
    engine.script = silence
    const slow = await coordinator.ask({ firstTokenMs: 3000, pieces: 0 })
    await clock.advance(2000)
    slow.sendBody()
    await clock.advance(999)
    expect(slow.has('failed')).toBe(false)
    await clock.advance(1)
    expect(slow.last('failed').code).toBe('deadline_exceeded')
    const whole = await (await coordinatorOf(4)).ask({ totalMs: 3000, pieces: 0 })
    await clock.advance(2000)
    whole.sendBody()
    await clock.advance(1000)
    expect(whole.last('failed').message).toBe('The answer took longer than 3000 ms.')

    const hand = new HandEngine()
    engine.script = hand.script
    const work = { kind: 'embedding' as const, inputs: ['a', 'b'] }
    const line = await (await coordinatorOf(3)).ask({ work, firstTokenMs: 3000 })
    hand.chunks.push({ type: 'vectors', first: 0, vectors: [new Float32Array([1])] })
    await clock.advance(4000)
    expect(line.types()).toContain('vectors')
    expect(line.has('failed')).toBe(false)
  })

  it('to begin are no longer than job ids are remembered', async () => {
    const { coordinator, clock, engine } = await stage().then(withOne)
    const hand = new HandEngine()
    engine.script = hand.script
    const hour = 3_600_000
    const line = await coordinator.ask({ expiresInMs: hour, firstTokenMs: hour, totalMs: hour })
    await clock.advance(SEEN_MS_MIN)
    expect(line.last('failed').code).toBe('expired')
  })
})

describe('what is no job', () => {
  it.each<[what: string, frames: Uint8Array[]]>([
    ['garbage', [new Uint8Array(100).fill(0xff)]],
    ['a frame as long as can be', [new Uint8Array(FRAME_BYTES_MAX).fill(0x0a)]],
    ['a part of a body', [Uint8Array.of(0x12, 0x01, 0x00)]],
    ['two contents in one frame', [Uint8Array.of(0x1a, 0x00, 0x22, 0x00)]],
  ])('is a fault: %s', async (_what, frames) => {
    const { coordinator, faults, engine, outcomes } = await stage().then(withOne)
    const line = await coordinator.line()
    for (const frame of frames) line.stream.write(frame)
    await settled()
    expect(line.last('refuse').code).toBe('malformed')
    expect(faults()).toMatchObject([{ peerId: coordinator.peerId, action: 'penalise' }])
    expect(outcomes).toEqual(['malformed'])
    expect(engine.jobs).toEqual([])
  })

  it('is passed over when a newer version says it', async () => {
    const { coordinator } = await stage().then(withOne)
    const line = await coordinator.line()
    line.stream.write(Uint8Array.of(0xa2, 0x06, 0x01, 0x00))
    await settled()
    expect(line.frames).toEqual([])
  })

  it('silence, or a body that does not come, is not waited for', async () => {
    const { coordinator, coordinatorOf, clock, provider, outcomes } = await stage().then(withOne)
    const silent = await coordinator.line()
    const half = await coordinator.ask({ work: chat('x'.repeat(100_000)), pieces: 1 })
    await clock.advance(4999)
    expect(provider.status().open).toBe(1)
    expect([...silent.frames, ...half.frames]).toEqual([])
    await clock.advance(1)
    expect(silent.last('refuse').code).toBe('deadline_exceeded')
    expect(half.last('refuse').code).toBe('deadline_exceeded')
    expect(provider.status().open).toBe(0)

    // One byte now and then: no frame is late, but the whole is.
    const drip = await (await coordinatorOf(3)).ask({ pieces: 0 })
    for (let second = 0; second < 59; second++) {
      drip.send({ type: 'body', bytes: new Uint8Array(1) })
      await clock.advance(1000)
    }
    expect(drip.frames).toEqual([])
    await clock.advance(1000)
    expect(drip.last('refuse').message).toBe('The body of the job took longer than 60000 ms.')
    expect(outcomes).toEqual(Array(3).fill('deadline_exceeded'))
  })

  it('may end before it has begun', async () => {
    const { coordinator, clock, faults, outcomes } = await stage().then(withOne)
    const closed = await coordinator.line()
    await closed.stream.close()
    const reset = await coordinator.ask({ pieces: 0 })
    await reset.reset()
    const cancelled = await coordinator.ask({ pieces: 0 })
    await cancelled.cancel()
    expect(cancelled.last('refuse').code).toBe('cancelled')
    await clock.advance(1000)
    expect(outcomes).toEqual(['cancelled', 'gone', 'cancelled'])
    expect(faults()).toEqual([])
    expect(clock.pending).toBe(0)
  })
})

async function withOne(all: Awaited<ReturnType<typeof stage>>) {
  return { ...all, coordinatorOf: all.coordinator, coordinator: await all.coordinator() }
}
