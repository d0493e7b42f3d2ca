import { describe, expect, it } from 'vitest'
import { silence } from '../api/scripted-engine.ts'
import { settled } from '../base/fake-clock.ts'
import { bothEnds } from './both-ends-stage.ts'
import { signal } from './coordinator-stage.ts'
import { stage } from './serve-stage.ts'

const HOUR_MS = 3_600_000

describe.each([
  ['behind', -HOUR_MS],
  ['ahead', HOUR_MS],
])('a provider whose clock is an hour %s', (_how, skewMs) => {
  it('answers, and both sides believe its receipt', async () => {
    const ends = await bothEnds({ theirSkewMs: skewMs, price: { input: 1000, output: 2000 } })
    const { collect, proof, theirProof, faults } = ends
    const { done, outcomes } = await collect({ model: 'theirs' })
    await settled()
    expect(outcomes).toEqual(['ok'])
    expect(done.receipt).toMatchObject({ status: 'final' })
    for (const { receipts } of [proof, theirProof]) {
      const view = await receipts.find(done.receipt?.cid ?? '')
      expect(view).toMatchObject({ status: 'final', verified: true })
    }
    const mine = await proof.receipts.find(done.receipt?.cid ?? '')
    expect(mine?.routing?.body).toMatchObject({ verdict: 'ok', amount: 21 })
    // It was off: each side says when by its own clock.
    expect((mine?.execution?.at ?? 0) - (mine?.routing?.at ?? 0)).toBe(skewMs)
    expect(faults()).toEqual([])
  })

  it('is not late for a job that waited', async () => {
    const { collect, theirEngine, clock } = await bothEnds({ slots: 1, theirSkewMs: skewMs })
    const answer = theirEngine.script
    theirEngine.script = async function* (job, ending) {
      yield { type: 'accepted', inputTokens: 5 }
      await clock.sleep(6_000, signal)
      yield* answer(job, ending)
    }
    const answers = Array.from({ length: 2 }, () => collect({ model: 'theirs' }))
    await clock.advance(15_000)
    for (const { outcomes } of await Promise.all(answers)) expect(outcomes.at(-1)).toBe('ok')
  })

  it('lets a job expire when its coordinator has said', async () => {
    const { coordinator: meet, clock, engine } = await stage({ skewMs })
    const coordinator = await meet()
    const late = await coordinator.ask({ expiresInMs: 1_000, pieces: 0 })
    await clock.advance(999)
    expect(late.has('refuse')).toBe(false)
    await clock.advance(1)
    late.sendBody()
    await settled()
    expect(late.last('refuse').code).toBe('expired')
    expect(engine.jobs).toEqual([])
  })
})

describe('a clock that is set by an hour', () => {
  it.each([-HOUR_MS, HOUR_MS])('(%i ms) makes no job new, nor one that waits late', async (ms) => {
    const { coordinator: meet, clock, engine } = await stage()
    const coordinator = await meet()
    const first = await coordinator.ask({ jobId: 'job_once.1' })
    await first.ack()
    engine.script = silence
    const waiting = await coordinator.ask({ expiresInMs: 60_000 })
    clock.setBack(ms)
    expect((await coordinator.ask({ jobId: 'job_once.1' })).last('refuse').code).toBe('replayed')
    await clock.advance(30_000)
    expect(waiting.has('accept')).toBe(true)
    expect(waiting.has('failed') || waiting.has('refuse')).toBe(false)
  })
})
