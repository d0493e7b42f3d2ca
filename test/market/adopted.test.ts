import { describe, expect, it } from 'vitest'
import { duesOf } from '../../src/market/serve/dues.ts'
import type { Job } from '../../src/wire/job.ts'
import { alices, tillStage } from '../accounts/till-stage.ts'
import { settled } from '../base/fake-clock.ts'
import { chat, jobOf, modelId, signal, stage } from './coordinator-stage.ts'
import { lose, Writer } from './failover/writer.ts'
import * as serve from './serve-stage.ts'

const OLD = { input: 1_000, output: 2_000 }
const NEW = { input: 5_000, output: 5_000 }

describe('a price that changes while a provider works', () => {
  const duesOfAll = async (proof: Parameters<typeof duesOf>[0]) => {
    const all = []
    for await (const [, due] of duesOf(proof, {})) all.push(due)
    return all
  }

  it('is for jobs that come later; what was accepted is done and owed at the old one', async () => {
    const all = await serve.stage({ price: OLD })
    const hand = new serve.HandEngine()
    all.engine.script = hand.script
    const coordinator = await all.coordinator()
    const line = await coordinator.ask()
    hand.accept()
    hand.say('a')
    await settled()
    all.provider.adopt({ price: { input: 0, output: 0 }, creditLimit: undefined })
    hand.end()
    await all.clock.advance(20)
    await line.ack()
    expect(line.last('accept').price).toEqual(OLD)
    const [execution] = await all.proof.bodies()
    expect(execution?.body).toMatchObject({ price: OLD })
    expect(await duesOfAll(all.proof.store)).toEqual([{ worked: 5, acknowledged: 5 }])
  })

  it('is not asked of a job whose prompt was on its way', async () => {
    const all = await serve.stage({ price: OLD })
    const coordinator = await all.coordinator()
    const line = await coordinator.ask({ maxPrice: OLD, pieces: 0 })
    all.provider.adopt({ price: NEW, creditLimit: undefined })
    line.sendBody()
    await all.clock.advance(20)
    expect(line.last('accept').price).toEqual(OLD)
    await line.ack()
    const [execution] = await all.proof.bodies()
    expect(execution?.body).toMatchObject({ price: OLD })
    const late = await coordinator.ask({ maxPrice: OLD })
    expect(late.last('refuse').code).toBe('price_too_low')
    const paying = await coordinator.ask({ maxPrice: NEW })
    await all.clock.advance(20)
    expect(paying.last('accept').price).toEqual(NEW)
  })

  it('and changes again and again is, for each job, the one that was accepted and no other', async () => {
    const prices = [OLD, NEW, { input: 0, output: 0 }, { input: 7, output: 9 }]
    const all = await serve.stage({ price: OLD })
    const coordinator = await all.coordinator()
    const accepted: unknown[] = []
    for (let at = 0; at < 24; at++) {
      const asked = prices[at % prices.length] ?? OLD
      all.provider.adopt({ price: asked, creditLimit: undefined })
      const line = await coordinator.ask({ maxPrice: asked, ...(at % 2 === 0 && { pieces: 0 }) })
      // While the prompt is on its way, and while it is answered.
      const change = () =>
        all.provider.adopt({
          price: prices[(at + 1 + (at % 3)) % 4] ?? NEW,
          creditLimit: undefined,
        })
      change()
      if (at % 2 === 0) line.sendBody()
      await settled()
      change()
      await all.clock.advance(20)
      expect(line.last('accept').price).toEqual(asked)
      await line.ack()
      accepted.push(asked)
    }
    const bodies = await all.proof.bodies()
    const signed = bodies.flatMap(({ kind, body }) =>
      kind === 'execution' ? [(body as { price: unknown }).price] : [],
    )
    expect(signed).toEqual(accepted)
  })

  it('comes with a credit limit for the next job', async () => {
    const all = await serve.stage({ price: OLD })
    const coordinator = await all.coordinator()
    expect(await coordinator.finish()).toBe(true)
    all.provider.adopt({ price: OLD, creditLimit: 1 })
    const line = await coordinator.ask()
    expect(line.last('refuse').code).toBe('credit_limit')
  })
})

describe("a price that changes while this peer's own clients are answered", () => {
  it('is not asked of them: each pays what was set aside', async () => {
    const all = await stage({ price: OLD })
    const till = await tillStage(all, 10_000)
    const before = { current: till.credits().current }
    const work = chat({ maxTokens: 4 })
    const ask = async (job: Partial<Job>, meanwhile = () => {}) => {
      const asked = jobOf({ work, origin: alices(), model: 'test-chat', ...job })
      for await (const chunk of till.generate(asked, { signal })) {
        if (chunk.type === 'tokens') meanwhile()
      }
      const cost = before.current - till.credits().current
      before.current -= cost
      return cost
    }
    const adopt = () => all.coordinator.adopt({ price: NEW, aliases: {} })
    expect(await ask({}, adopt)).toBe(5 + 4 * 2)
    expect(all.coordinator.resolve('test-chat')?.price).toEqual(NEW)
    expect(await ask({})).toBe(5 * 5 + 4 * 5)
  })

  it('is not asked where it goes on with an answer that was begun before', async () => {
    const all = await stage({ price: OLD })
    const { coordinator, engine, provider, proof } = all
    const till = await tillStage(all, 100_000)
    const [status] = engine.status()
    if (status === undefined) throw new Error('no model')
    const texts = ['Hello', ' there', ' all']
    engine.script = async function* (job) {
      const from = job.resume?.[0]?.ids.length ?? 0
      yield { type: 'accepted', inputTokens: 5 }
      for (let at = from; at < texts.length; at++) {
        yield { type: 'tokens', choice: 0, index: at, ids: [at], text: texts[at] ?? '' }
      }
      const usage = { inputTokens: 5, cachedTokens: 0, outputTokens: texts.length - from }
      yield { type: 'done', finish: ['stop'], usage }
    }
    status.name = 'hidden'
    await provider({
      model: { id: status.id ?? '' },
      script: async (line) => {
        // Meanwhile this machine came to serve the model, and to ask for more.
        status.name = 'net-chat'
        coordinator.adopt({ price: NEW, aliases: {} })
        const writer = new Writer(line, { story: [texts], step: 1, held: 0 })
        writer.accept()
        writer.next()
        await lose(line, 'reset')
      },
    })
    const asked = jobOf({ work: chat({ maxTokens: 10 }), origin: alices() })
    for await (const _ of till.generate(asked, { signal }));
    const bodies = await proof.bodies()
    const routing = bodies.find(({ kind }) => kind === 'routing')
    // Of what it wrote itself; the first token had come from the other.
    const own = { tokens: { output: 2 }, price: OLD }
    expect(routing?.body).toMatchObject({ parts: [own] })
  })
})

describe('another name for a model', () => {
  it('means one of this machine, by its own name or one that is known for it', async () => {
    const { coordinator, engine } = await stage({ aliases: { 'gpt-4.1': 'test-chat' } })
    expect(coordinator.resolve('gpt-4.1')).toMatchObject({ name: 'test-chat', local: {} })
    for await (const _ of coordinator.generate(jobOf({ model: 'gpt-4.1' }), { signal }));
    expect(engine.jobs.at(-1)?.model).toBe('test-chat')
    expect(coordinator.resolve('constructor')).toBeUndefined()
  })

  it('means one of the network, which is looked up by what is meant', async () => {
    const aliases = { 'gpt-4o-mini': 'net-chat', mine: 'far-chat', 'net-chat-2': 'net-chat' }
    const { coordinator, provider, collect, lookUps } = await stage({ aliases })
    const { lines } = await provider()
    await provider({ model: { name: 'net-chat-2', id: modelId('other') } })
    expect(coordinator.resolve('gpt-4o-mini')).toMatchObject({
      name: 'net-chat',
      id: modelId('net-chat'),
    })
    await collect({ model: 'gpt-4o-mini' })
    expect(lines).toHaveLength(1)
    await expect(coordinator.find('mine', { signal })).rejects.toMatchObject({
      code: 'model_not_found',
      message: expect.stringContaining('mine'),
    })
    expect(lookUps).toEqual(['far-chat'])
    // The owner's word counts before a stranger's advert.
    expect(coordinator.resolve('net-chat-2')?.id).toBe(modelId('net-chat'))
    expect(coordinator.models().map(({ name }) => name)).not.toContain('net-chat-2')
  })

  it('never hides a model of this machine, and can change while others are served', async () => {
    const { coordinator } = await stage({ aliases: { 'test-chat': 'test-embed' } })
    expect(coordinator.resolve('test-chat')?.name).toBe('test-chat')
    const price = { input: 0, output: 0 }
    coordinator.adopt({ price, aliases: { x: 'test-embed' } })
    expect(coordinator.resolve('x')?.name).toBe('test-embed')
    coordinator.adopt({ price, aliases: {} })
    expect(coordinator.resolve('x')).toBeUndefined()
  })
})
