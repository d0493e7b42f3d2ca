import { describe, expect, it } from 'vitest'
import { PeerError } from '../../src/base/errors.ts'
import { boundsOf, quote } from '../../src/market/quote.ts'
import { type Due, duesOf } from '../../src/market/serve/dues.ts'
import { integerKey, textKey } from '../../src/storage/codec.ts'
import { MemoryBackend } from '../../src/storage/memory-backend.ts'
import type { Store } from '../../src/storage/store.ts'
import type { Chunk } from '../../src/wire/chunk.ts'
import type { FromProvider } from '../../src/wire/generate.ts'
import type { Job } from '../../src/wire/job.ts'
import { alices, tillStage } from '../accounts/till-stage.ts'
import { endless, talk } from '../api/scripted-engine.ts'
import { settled } from '../base/fake-clock.ts'
import { bothEnds } from './both-ends-stage.ts'
import { chat, frames, honest, jobOf, type Script, signal, stage } from './coordinator-stage.ts'

const PRICE = { input: 1_000, output: 2_000 }
const local = { model: 'test-chat' }
/** Of the scripted engine's answer: five tokens in, and what it says. */
const work = chat({ maxTokens: 4 })
const COST = 5 + 4 * 2
const MOST = quote(boundsOf(work, 512), PRICE)

const owedRows = { key: textKey, value: integerKey }

type Stage = Parameters<typeof tillStage>[0]

async function paying<S extends Stage>(all: S, granted: number) {
  const till = await tillStage(all, granted)
  const ask = async (job: Partial<Job> = {}, each = (_chunk: Chunk) => {}) => {
    const chunks: Chunk[] = []
    const asked = jobOf({ work, origin: alices(), ...job })
    for await (const chunk of till.generate(asked, { signal })) {
      chunks.push(chunk)
      each(chunk)
    }
    return chunks
  }
  return { ...all, ...till, ask }
}

describe('a model that is served here', () => {
  it("costs accounts the peer's own price, and is set aside before", async () => {
    const all = await paying(await stage({ price: PRICE }), 10_000)
    const { ask, credits, charges, audited, used, proof } = all
    let reserved = 0
    await ask(local, () => {
      reserved = Math.max(reserved, credits().reserved)
    })
    expect(reserved).toBe(MOST)
    expect(credits()).toEqual({ current: 10_000 - COST, reserved: 0, available: 10_000 - COST })
    const [charge] = await charges()
    expect(charge).toMatchObject({ amount: -COST, reserved: MOST, keyId: 'key_alice' })
    expect(charge?.model).toBe('test-chat')
    expect((await audited()).totals).toMatchObject({ earned: COST, owed: 0 })
    const [, routing] = await proof.bodies()
    expect(routing?.body).toMatchObject({
      ...{ amount: COST, count: 'verified' },
      parts: [{ price: PRICE, amount: COST, owedTotal: 0 }],
    })
    expect(await used()).toEqual({
      ...{ requests: 1, failed: 0, cost: COST },
      ...{ inputTokens: 5, cachedTokens: 2, outputTokens: 4 },
    })
  })

  it('is free where the peer asks for nothing, and then no ledger is written', async () => {
    const { ask, charges, credits, used } = await paying(await stage(), 0)
    await ask(local)
    expect(await charges()).toEqual([])
    expect(credits().current).toBe(0)
    expect(await used()).toMatchObject({ requests: 1, outputTokens: 4, cost: 0 })
  })

  it('is not asked by who has too little for all that it can cost', async () => {
    const { ask, engine, used, credits } = await paying(await stage({ price: PRICE }), MOST - 1)
    await expect(ask(local)).rejects.toMatchObject({
      code: 'insufficient_credits',
      message: expect.stringContaining(
        `cost ${MOST} micro-credits, and this account has ${MOST - 1}`,
      ),
    })
    expect(engine.jobs).toHaveLength(0)
    expect(credits().reserved).toBe(0)
    // Nothing ran: it is as any other request that was refused.
    expect(await used()).toMatchObject({ requests: 0 })
    await ask({ ...local, work: chat({ maxTokens: 3 }) })
  })

  it("keeps to what a request's peers may ask, and to a key's limit", async () => {
    const { ask } = await paying(await stage({ price: PRICE }), 10_000)
    const wishes = { maxPrice: { input: 1_000, output: 1_999 } }
    await expect(ask({ ...local, wishes })).rejects.toMatchObject({ code: 'no_nodes_available' })
    const origin = alices({ creditLimit: MOST - 1 })
    await expect(ask({ ...local, origin })).rejects.toThrow('this key may still spend')
    await ask({ ...local, origin: alices({ creditLimit: MOST }) })
  })

  it('costs what was read and written, when nobody wants the rest', async () => {
    const all = await paying(await stage({ price: PRICE }), 100_000)
    all.engine.script = endless
    const leaving = new AbortController()
    let tokens = 0
    const origin = alices()
    const job = jobOf({ ...local, work: chat({ maxTokens: 400 }), origin })
    for await (const chunk of all.generate(job, leaving)) {
      if (chunk.type === 'tokens' && ++tokens === 3) leaving.abort()
    }
    const [charge] = await all.charges()
    const [, routing] = await all.proof.bodies()
    if (routing?.kind !== 'routing') throw new Error('no routing')
    const { amount, tokens: counted } = routing.body
    expect(counted.output).toBeGreaterThanOrEqual(3)
    expect(amount).toBe(1 + counted.output * 2)
    expect(charge).toMatchObject({ amount: -amount, requestId: origin.requestId })
    expect(await all.used()).toMatchObject({ requests: 1, failed: 0, cost: amount })
    expect(all.credits().reserved).toBe(0)
    await all.audited()
  })

  it('costs the same when its reader just goes', async () => {
    const all = await paying(await stage({ price: PRICE }), 100_000)
    all.engine.script = endless
    const job = jobOf({ ...local, work: chat({ maxTokens: 400 }), origin: alices() })
    for await (const chunk of all.generate(job, { signal })) if (chunk.type === 'tokens') break
    await all.coordinator.stop()
    const { totals } = await all.audited()
    expect(totals.earned).toBeGreaterThan(0)
    expect(all.credits()).toMatchObject({ current: 100_000 - totals.earned, reserved: 0 })
  })

  it('costs what came before it broke down, and counts as failed', async () => {
    const all = await paying(await stage({ price: PRICE }), 10_000)
    all.engine.script = async function* (job, aborted) {
      for await (const chunk of talk(job, aborted)) {
        if (chunk.type === 'done') throw new PeerError('engine_failed', 'Broken.')
        yield chunk
      }
    }
    await expect(all.ask(local)).rejects.toMatchObject({ code: 'engine_failed' })
    // The prompt is for who finishes the answer: nobody did.
    expect(all.credits()).toMatchObject({ current: 10_000 - 4 * 2, reserved: 0 })
    expect(await all.used()).toMatchObject({ requests: 1, failed: 1, outputTokens: 4, cost: 8 })
    all.engine.script = async function* () {
      yield* []
      throw new PeerError('engine_failed', 'Broken.')
    }
    await expect(all.ask(local)).rejects.toMatchObject({ code: 'engine_failed' })
    expect(await all.used()).toMatchObject({ requests: 2, failed: 2, cost: 8 })
    await all.audited()
  })
})

describe('a model that others serve', () => {
  it('is paid to them', async () => {
    const ends = await bothEnds({ price: PRICE })
    const { ask, charges, audited, models, peerId } = await paying(ends, 10_000)
    await ask({ model: models.chat })
    await ask({ model: models.chat })
    const postings = [
      ['wallet:alice', -COST],
      [`owed:${peerId}`, COST],
    ]
    expect(await charges()).toMatchObject([{ postings }, { postings }])
    expect((await audited()).totals).toMatchObject({ owed: 2 * COST, earned: 0 })
    expect(await ends.proof.store.table('owed', owedRows).get(peerId)).toBe(2 * COST)
  })

  it('is asked of those alone that the account can pay', async () => {
    const all = await paying(await stage(), 100)
    const dear = await all.provider({ model: { price: PRICE } })
    await expect(all.ask()).rejects.toMatchObject({ code: 'insufficient_credits' })
    const cheap = await all.provider({ script: paid(5), model: { price: { input: 5, output: 5 } } })
    await all.ask()
    expect(dear.lines).toHaveLength(0)
    expect(cheap.lines).toHaveLength(1)
    expect(cheap.lines[0]?.job.maxPrice).toEqual({ input: 5, output: 5 })
    const [, routed] = await all.ask()
    expect(routed).toMatchObject({ type: 'routed', route: { excluded: { credits: 1 } } })
  })

  it('is not paid by the account where it was in vain', async () => {
    const all = await paying(await stage({ firstByteMs: 10_000 }), 1_000_000)
    const price = { input: 1_000, output: 1_000 }
    // Reads the prompt, and has nothing to say when its time is over.
    const slow: Script = async (line) => {
      line.say({ ...frames.accept(), price } as FromProvider, frames.progress())
      let cancelBeat = () => {}
      const beat = () => {
        line.say(frames.progress())
        cancelBeat = all.clock.after(500, beat)
      }
      beat()
      await line.hear()
      cancelBeat()
      line.say(frames.done(0, { finish: ['cancelled'] }))
      while ((await line.hear()) !== undefined);
    }
    await all.provider({ model: { price }, script: slow })
    await all.provider({ model: { price: { input: 2_000, output: 2_000 } }, script: paid(2_000) })
    const asking = all.ask()
    await all.clock.advance(12_000)
    await asking
    await settled()
    expect((await all.audited()).totals).toMatchObject({ owed: 5 + 14, borne: -5 })
    expect(await all.charges()).toMatchObject([{ amount: -14 }])
    expect(await all.charges('')).toMatchObject([{ amount: 0, jobId: expect.any(String) }])
    expect(await all.used()).toMatchObject({ requests: 1, cost: 14 })
    expect(all.credits().reserved).toBe(0)
  })
})

describe('what a coordinator owes', () => {
  const dues = async (store: Store) => {
    const all: [string, Due][] = []
    for await (const each of duesOf(store, {})) all.push(each)
    return all
  }

  it('is counted by who works for it, and no more than it may', async () => {
    const ends = await bothEnds({ price: PRICE, creditLimit: COST + 1, own: { totalMs: 60_000 } })
    const { models, theirProof, identity } = ends
    const ask = () => ends.collect({ model: models.chat, work })
    await ask()
    await settled()
    expect(await dues(theirProof.store)).toEqual([
      [identity.peerId, { worked: COST, acknowledged: COST }],
    ])
    // It owes less than it may: what is done now comes on top.
    await ask()
    await settled()
    await expect(ask()).rejects.toMatchObject({ code: 'no_nodes_available' })
    expect(ends.counted.at(-1)).toBe('unwilling')
    expect(await dues(theirProof.store)).toEqual([
      [identity.peerId, { worked: 2 * COST, acknowledged: 2 * COST }],
    ])
  })

  it('is known after a restart, and is nothing where the work is free', async () => {
    const theirBackend = new MemoryBackend()
    const first = await bothEnds({ price: PRICE, theirBackend })
    await first.collect({ model: first.models.chat, work })
    await settled()
    const again = await bothEnds({ price: PRICE, creditLimit: COST, theirBackend })
    const asked = again.collect({ model: again.models.chat, work })
    await expect(asked).rejects.toMatchObject({ code: 'no_nodes_available' })
    const free = await bothEnds({ creditLimit: 0 })
    await free.collect({ model: free.models.chat, work })
    expect(await dues(free.theirProof.store)).toEqual([])
  })
})

/** As `honest`, for money. */
const paid =
  (each: number): Script =>
  (line) => {
    const price = { input: each, output: each }
    const say = line.say.bind(line)
    line.say = (...all) =>
      say(...all.map((frame) => (frame.type === 'accept' ? { ...frame, price } : frame)))
    return honest(line)
  }
