import { describe, expect, it } from 'vitest'
import { settled } from '../base/fake-clock.ts'
import {
  chat,
  frames,
  honest,
  type Script,
  type ScriptedProvider,
  signal,
  stage,
  two,
} from './coordinator-stage.ts'

/** More than a request has attempts. */
const CROWD = 20

/** A crowd that does `script`, and one honest provider that nobody knows, which is asked last. */
async function crowd(script: Script, count = CROWD) {
  const all = await stage({ firstByteMs: 120_000 })
  const fakes: ScriptedProvider[] = []
  for (let n = 0; n < count; n++) fakes.push(await all.provider({ script }))
  const good = await all.provider()
  // What is claimed decides among those that nobody knows.
  for (const { peerId } of fakes) all.load(peerId, { tokensPerSecond: 500 })
  all.load(good.peerId, { tokensPerSecond: 10 })
  return { ...all, fakes, good, asked: () => fakes.flatMap(({ lines }) => lines).length }
}

describe('a crowd that refuses at once', () => {
  const refusals: [what: string, script: Script][] = [
    ...['unsupported', 'price_too_low', 'invalid_value', 'draining', 'moon'].map(
      (code): [string, Script] => [code, async (line) => line.say(frames.refuse(code))],
    ),
    ['by resetting the stream', async (line) => line.stream.reset(new Error('No.'))],
  ]
  it.each(refusals)('does not keep a job from who does it: %s', async (_what, script) => {
    const { collect, good, asked } = await crowd(script)
    expect((await collect()).routed.node.id).toBe(good.peerId)
    expect(asked()).toBe(CROWD)
  })

  it('is asked last the next time', async () => {
    const { collect, provider, good, fakes, asked } = await crowd(async (line) =>
      line.say(frames.refuse('unsupported')),
    )
    await collect()
    const wishes = { not: [good.peerId] }
    const newcomer = await provider()
    const { routed, outcomes } = await collect({ wishes })
    expect(routed.node.id).toBe(newcomer.peerId)
    expect(outcomes).toEqual(['ok'])
    expect(asked()).toBe(fakes.length)
  })

  it('ends a request when it is too large', async () => {
    const { collect, asked } = await crowd(
      async (line) => line.say(frames.refuse('unsupported')),
      40,
    )
    await expect(collect()).rejects.toMatchObject({ code: 'no_nodes_available' })
    expect(asked()).toBe(32)
  })

  it('has eight attempts when it takes its time', async () => {
    const { collect, clock, asked } = await crowd(async (line) => {
      await clock.sleep(501, signal)
      line.say(frames.refuse('unsupported'))
    })
    const refused = expect(collect()).rejects.toMatchObject({ code: 'no_nodes_available' })
    await clock.advance(8 * 501)
    await refused
    expect(asked()).toBe(8)
  })

  it('has eight attempts when it breaks down at the job', async () => {
    const { collect, asked } = await crowd(async (line) =>
      line.say(frames.accept(), frames.failed('engine_failed')),
    )
    await expect(collect()).rejects.toMatchObject({ code: 'no_nodes_available' })
    expect(asked()).toBe(8)
  })
})

it('a proven provider that takes one kind of job alone is not asked last for that', async () => {
  const { collect, bad } = await two(async (line) => line.say(frames.refuse('unsupported')))
  expect((await collect()).outcomes).toEqual(['unwilling: unsupported', 'ok'])
  bad.script = honest
  const { candidates } = (await collect()).routed.route
  expect(candidates.flatMap(({ reasons }) => reasons)).not.toContain('failed lately')
})

describe('progress without end, from one that never did a job', () => {
  async function staller(firstByteMs: number) {
    const all = await stage({ firstByteMs })
    const stalling: Script = async (line) => {
      line.say(frames.accept())
      for (;;) {
        const heard = await Promise.race([line.hear(), all.clock.sleep(500, signal)])
        if (heard?.type === 'cancel') return
        line.say(frames.progress())
      }
    }
    const bad = await all.provider({ script: stalling })
    all.load(bad.peerId, { tokensPerSecond: 500 })
    return { ...all, bad }
  }

  it.each([
    [120_000, 20_000],
    [20_000, 9_900],
  ])('of %d ms to the first token takes no more than %d', async (firstByteMs, ms) => {
    const { collect, provider, load, clock, bad } = await staller(firstByteMs)
    load((await provider()).peerId, { tokensPerSecond: 10 })
    const answer = collect()
    await clock.advance(ms + 100)
    const { outcomes, routed } = await answer
    expect(outcomes).toEqual(['late', 'ok'])
    expect(routed.route.attempts[0]?.ms).toBe(ms)
    await clock.advance(1_000)
    // The next one does not meet it.
    expect((await collect({ wishes: { only: [bad.peerId, routed.node.id] } })).outcomes).toEqual([
      'ok',
    ])
    expect(bad.lines[0]?.heard[0]?.type).toBe('cancel')
  })

  it('takes three quarters of it from one that was good until now', async () => {
    const { collect, provider, clock, bad } = await staller(20_000)
    const stalling = bad.script
    bad.script = honest
    await collect()
    bad.script = stalling
    const good = await provider()
    const answer = collect()
    await clock.advance(15_000)
    const { outcomes, routed } = await answer
    expect(outcomes).toEqual(['late', 'ok'])
    expect(routed.node.id).toBe(good.peerId)
    expect(routed.route.attempts[0]?.ms).toBe(0.75 * 19_800)
  })

  it('may take all of it where nobody else could do the job', async () => {
    const { collect, clock } = await staller(120_000)
    const refused = expect(collect()).rejects.toMatchObject({ code: 'first_byte_timeout' })
    await clock.advance(119_000)
    await settled()
    await clock.advance(1_000)
    await refused
  })

  it('opens its breaker at once', async () => {
    const { collect, provider, load, clock, bad } = await staller(20_000)
    const good = await provider()
    load(good.peerId, { tokensPerSecond: 10 })
    const answer = collect()
    await clock.advance(10_000)
    await answer
    const third = await provider()
    load(third.peerId, { tokensPerSecond: 1 })
    const { routed } = await collect({ wishes: { not: [good.peerId] } })
    expect(routed.node.id).toBe(third.peerId)
    expect(bad.lines).toHaveLength(1)
  })
})

const SLOW_MS = 5_000

describe('a provider that was good until now', () => {
  it('is not asked while nothing comes of what it does', async () => {
    const { collect, provider, clock, bad } = await two(honest)
    const good = await provider({
      script: async (line) => {
        line.say(frames.accept())
        for (let n = 0; n < 2; n++) {
          await clock.sleep(SLOW_MS / 2, signal)
          line.say(frames.progress())
        }
        line.say(frames.tokens(0, ['Hello']), frames.done(1))
        while ((await line.hear()) !== undefined);
      },
    })
    const proving = collect({ wishes: { only: [good.peerId] } })
    await clock.advance(SLOW_MS)
    await proving
    let writes = true
    bad.script = async (line) => {
      const { ended } = line.stream
      line.say(frames.accept())
      for (let at = 0; !ended.aborted; await clock.sleep(100, ended).catch(() => {})) {
        line.say(writes ? frames.tokens(at++, ['a']) : frames.progress())
      }
    }
    const leaving = new AbortController()
    const asked = (cacheScope: string) =>
      collect({ cacheScope, work: chat({ maxTokens: 100 }) }, leaving).catch(() => undefined)
    const open = [asked('a')]
    await clock.advance(1_000)
    open.push(asked('b'))
    await clock.advance(1_000)
    expect(bad.lines).toHaveLength(2)
    writes = false
    await clock.advance(1_000)
    const [answer] = await Promise.all([asked('c'), clock.advance(SLOW_MS)])
    expect(answer?.routed.node.id).toBe(good.peerId)
    leaving.abort()
    await clock.advance(2_000)
    await Promise.all(open)
  })
})
