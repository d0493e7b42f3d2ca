import { describe, expect, it } from 'vitest'
import type { Chunk } from '../../src/wire/chunk.ts'
import { declaredModelId } from '../../src/wire/model-id.ts'
import type { Script } from '../api/scripted-engine.ts'
import { settled } from '../base/fake-clock.ts'
import { bothEnds } from './both-ends-stage.ts'
import { jobOf, stage } from './coordinator-stage.ts'

/** As servers do that count a prompt once they have answered it. */
const counting = (inputTokens: number): Script =>
  async function* (_job, signal) {
    yield { type: 'accepted', inputTokens: 0 }
    for (const [index, text] of ['So', ' it', ' is'].entries()) {
      yield { type: 'tokens', choice: 0, index, ids: [0], text }
    }
    if (inputTokens === 0) {
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    }
    const usage = { inputTokens, cachedTokens: 0, outputTokens: 3 }
    yield { type: 'done', finish: [inputTokens === 0 ? 'cancelled' : 'stop'], usage }
  }

describe('a prompt that is counted at the end', () => {
  it('by another peer is in its receipt, which was opened without', async () => {
    const { collect, theirEngine, faults, clock, proof } = await bothEnds()
    theirEngine.script = counting(9)
    const wait = collect({ model: 'theirs' })
    await clock.advance(100)
    const { done, routed } = await wait
    expect(routed).toMatchObject({ inputTokens: 0 })
    expect(routed.openCid).toMatch(/^ryv1:sha256:/)
    expect(done).toMatchObject({
      usage: { inputTokens: 9, outputTokens: 3 },
      receipt: { status: 'final' },
    })
    const receipt = await proof.receipts.find(done.receipt?.cid ?? '')
    expect(receipt).toMatchObject({ verified: true, receipt: { meteringUnits: 12 } })
    expect(faults()).toEqual([])
  })

  it('and never is, because nobody wants the rest, is not paid: what was written is', async () => {
    const { coordinator, theirEngine, faults, clock, proof } = await bothEnds()
    theirEngine.script = counting(0)
    const leaving = new AbortController()
    const chunks: Chunk[] = []
    const reading = (async () => {
      for await (const chunk of coordinator.generate(jobOf({ model: 'theirs' }), leaving)) {
        chunks.push(chunk)
        if (chunk.type === 'tokens') leaving.abort()
      }
    })()
    await clock.advance(100)
    await settled()
    await reading
    const done = chunks.findLast((chunk) => chunk.type === 'done')
    expect(done).toMatchObject({ finish: ['cancelled'], usage: { inputTokens: 0 } })
    const receipt = await proof.receipts.find(done?.receipt?.cid ?? '')
    expect(done?.receipt?.status).toBe('partial')
    expect(receipt).toMatchObject({
      verified: true,
      receipt: { meteringUnits: done?.usage.outputTokens },
    })
    expect(faults()).toEqual([])
  })

  it('here is in the log, and not as one that was counted again', async () => {
    const { collect, engine, proof, identity } = await stage()
    for (const status of engine.status()) {
      status.id = declaredModelId(status.name, identity.peerId)
    }
    engine.script = counting(9)
    const { done } = await collect({ model: 'test-chat' })
    expect(done.usage).toMatchObject({ inputTokens: 9, outputTokens: 3 })
    const routing = (await proof.bodies()).find(({ kind }) => kind === 'routing')
    expect(routing?.body).toMatchObject({ count: 'bounded', tokens: { input: 9, output: 3 } })
  })
})
