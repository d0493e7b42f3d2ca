import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ask, Harness } from './core-harness.ts'

let engine: Harness

beforeAll(async () => {
  engine = await Harness.load()
})
afterAll(async () => {
  await engine.core.dispose()
})

describe('calibration', () => {
  it('finds what is fastest, and leaves the prefix cache as it was', async () => {
    const question = ask('What is a peer and what does it do?')
    const first = await engine.run(question)
    const started = performance.now()
    await engine.core.handle({ type: 'calibrate' })
    expect(performance.now() - started).toBeLessThan(4000)
    const { slots, threads, measured, batchTimes = [] } = engine.last('calibrated')?.result ?? {}
    expect(threads).toBe(1)
    expect(measured?.map(({ parallel }) => parallel)).toEqual([1, 2, 4, 8])
    for (const { tokensPerSecond } of measured ?? []) expect(tokensPerSecond).toBeGreaterThan(0)
    expect(batchTimes.map(({ tokens }) => tokens)).toEqual([1, 2, 3, 4, 6, 8, 12, 17])
    for (const { ms } of batchTimes) expect(ms).toBeGreaterThan(0)
    const most = measured?.toSorted((a, b) => b.tokensPerSecond - a.tokensPerSecond)[0]
    expect(slots).toBeGreaterThanOrEqual(most?.parallel ?? 99)
    const again = await engine.run(question)
    expect(again.text()).toBe(first.text())
    expect(again.done.usage.cachedTokens).toBe(first.done.usage.inputTokens - 1)
  })

  it('measures only what guesses cost where the rest is fixed', async () => {
    const fixed = await Harness.load({ slots: 2, threads: 1 })
    await fixed.core.handle({ type: 'calibrate' })
    const { slots, threads, measured, batchTimes } = fixed.last('calibrated')?.result ?? {}
    expect({ slots, threads, measured }).toEqual({ slots: 2, threads: 1, measured: [] })
    expect(batchTimes?.length).toBe(8)
    await fixed.core.dispose()
  })

  it('gives way to a run at once', async () => {
    const calibrating = engine.core.handle({ type: 'calibrate' })
    const heard = await engine.run(ask('What is a peer?'))
    await calibrating
    expect(engine.messages.findLast(({ type }) => type.startsWith('calibrat'))?.type).toBe(
      'calibration-stopped',
    )
    expect(heard.text()).toMatch(/^A peer is one running process/)
    // It stopped before the answer began, not after a measurement.
    const stoppedAt = engine.messages.findIndex(({ type }) => type === 'calibration-stopped')
    const doneAt = engine.messages.findLastIndex(({ type }) => type === 'chunks')
    expect(stoppedAt).toBeLessThan(doneAt)
  })

  it('does not begin while there is work', async () => {
    const { heard } = engine.start(ask('What is a peer?'))
    const before = engine.messages.filter(({ type }) => type === 'calibration-stopped').length
    await engine.core.handle({ type: 'calibrate' })
    const after = engine.messages.filter(({ type }) => type === 'calibration-stopped').length
    expect(after).toBe(before + 1)
    await heard.ended.promise
  })
})
