import { describe, expect, it } from 'vitest'
import { settled } from '../base/fake-clock.ts'
import { frames, honest, type Script, signal, stage } from './coordinator-stage.ts'

describe('many jobs at once', () => {
  it('are as many as the provider allows, and the others wait for their turn', async () => {
    const { collect, provider, clock } = await stage()
    let open = 0
    let most = 0
    const { lines } = await provider({
      script: async (line) => {
        most = Math.max(most, ++open)
        line.say(frames.accept(5, 3))
        await clock.sleep(100, signal)
        open--
        line.say(frames.tokens(0, ['a']), frames.done(1))
      },
    })
    const answers = Array.from({ length: 10 }, () => collect())
    await clock.advance(1_000)
    for (const answer of await Promise.all(answers)) expect(answer.outcomes).toEqual(['ok'])
    expect(lines).toHaveLength(10)
    expect(most).toBe(3)
  })

  it('spread over those who serve', async () => {
    const { collect, provider, clock, load, explores } = await stage()
    const slow: Script = async (line) => {
      line.say(frames.accept(5, 100))
      await clock.sleep(1000, signal)
      line.say(frames.tokens(0, ['a']), frames.done(1))
    }
    const providers = [await provider(), await provider()]
    for (const { peerId } of providers) load(peerId, { slots: 4 })
    explores.now = true
    for (let n = 0; n < 4; n++) await collect()
    explores.now = false
    for (const each of providers) {
      expect(each.lines.length).toBeGreaterThan(0)
      each.script = slow
      each.lines.length = 0
    }
    const answers = Array.from({ length: 8 }, () => collect())
    await clock.advance(3_000)
    await Promise.all(answers)
    expect(providers.map(({ lines }) => lines.length)).toEqual([4, 4])
  })

  it('give newcomers a twentieth, however many they are', async () => {
    const { collect, provider, explores, clock } = await stage()
    const proven = await provider()
    await collect()
    const busy: Script = async (line) => line.say(frames.refuse('overloaded'))
    const newcomers = []
    for (let n = 0; n < 30; n++) newcomers.push(await provider({ script: busy }))
    explores.now = 'by chance'
    for (let n = 0; n < 600; n++) {
      await collect()
      if (n % 50 === 0) await clock.advance(1_000)
    }
    expect(proven.lines).toHaveLength(601)
    const tried = newcomers.flatMap(({ lines }) => lines).length
    expect(tried).toBeGreaterThan(600 / 40)
    expect(tried).toBeLessThan(600 / 14)
  })

  it('are no flood to a provider', async () => {
    const { collect, provider, clock } = await stage()
    const { lines } = await provider({
      script: async (line) => {
        line.say(frames.accept(5, 10_000), frames.tokens(0, ['a']), frames.done(1))
      },
    })
    await collect()
    const answers = Array.from({ length: 500 }, () => collect())
    await settled()
    expect(lines.length).toBeLessThanOrEqual(200)
    await clock.advance(1_000)
    expect(lines.length).toBeGreaterThan(300)
    expect(lines.length).toBeLessThanOrEqual(400)
    await clock.advance(2_000)
    await Promise.all(answers)
    expect(lines).toHaveLength(501)
  })

  it('leave nothing behind', async () => {
    const { collect, provider, clock, coordinator } = await stage()
    await provider({ script: honest })
    for (let n = 0; n < 20; n++) await collect()
    await coordinator.stop()
    expect(clock.pending).toBe(0)
    expect(coordinator.activity().requests).toEqual({ inFlight: 0, last60s: 20, failed60s: 0 })
  })
})
