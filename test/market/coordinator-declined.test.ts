import { describe, expect, it } from 'vitest'
import { settled } from '../base/fake-clock.ts'
import {
  chat,
  frames,
  honest,
  type Script,
  type ScriptedProvider,
  stage,
} from './coordinator-stage.ts'

describe('a request that is at fault itself', () => {
  const fault = { message: 'Ban fewer.', param: 'logit_bias' }
  const declining: Script = async (line) => line.say(frames.refuse('invalid_value', fault))

  /** So many that proved themselves, and then decline all, and those that come after them. */
  async function proven(count: number) {
    const all = await stage()
    const decliners: ScriptedProvider[] = []
    for (let n = 0; n < count; n++) {
      const one = await all.provider()
      await all.collect({ wishes: { only: [one.peerId] } })
      decliners.push(one)
    }
    await settled()
    for (const one of decliners) {
      one.lines.length = 0
      one.script = declining
    }
    return { ...all, decliners, asked: () => decliners.flatMap(({ lines }) => lines).length }
  }

  const codes = ['invalid_value', 'invalid_type', 'missing_required_parameter']
  it.each(codes)('is so when two say it that proved themselves: %s', async (code) => {
    const { collect, provider, coordinator, decliners, asked } = await proven(3)
    for (const one of decliners) {
      one.script = async (line) => line.say(frames.refuse(code, fault))
    }
    const other = await provider()
    await expect(collect()).rejects.toMatchObject({ code, ...fault })
    expect(asked()).toBe(2)
    expect(other.lines).toHaveLength(0)
    expect(coordinator.activity().requests.failed60s).toBe(0)
  })

  it('is not, when most of those that proved themselves have not said so', async () => {
    const { collect, decliners } = await proven(5)
    let asked = 0
    for (const one of decliners) {
      one.script = (line) => (asked++ < 2 ? declining(line) : honest(line))
    }
    const { text, outcomes } = await collect()
    expect(text).toBe('Hello world')
    expect(outcomes).toEqual(['declined: invalid_value', 'declined: invalid_value', 'ok'])
  })

  it('is so when five say it, however many there are', async () => {
    const { collect, asked } = await proven(12)
    await expect(collect()).rejects.toMatchObject({ code: 'invalid_value' })
    expect(asked()).toBe(5)
  })

  it('is so when nobody can be asked for a second opinion', async () => {
    const { collect, provider, load, asked } = await proven(1)
    const loading = await provider()
    load(loading.peerId, { ready: false })
    await expect(collect()).rejects.toMatchObject({ code: 'invalid_value', ...fault })
    expect(asked()).toBe(1)
  })

  it('is not, when another one does it; who said so is asked last then', async () => {
    const { collect, provider, decliners, asked } = await proven(1)
    const good = await provider()
    const { routed, outcomes } = await collect()
    expect(routed.node.id).toBe(good.peerId)
    expect(outcomes).toEqual(['declined: invalid_value', 'ok'])
    const last = (await collect()).routed.route.candidates.at(-1)
    expect(last?.reasons).toContain('failed lately')
    expect(asked()).toBe(1)
    const only = decliners.map(({ peerId }) => peerId)
    await expect(collect({ wishes: { only } })).rejects.toMatchObject({ code: 'invalid_value' })
  })

  it('is not said to be by any number of newcomers', async () => {
    const { collect, provider } = await stage()
    for (let n = 0; n < 5; n++) await provider({ script: declining })
    const good = await provider()
    expect((await collect()).routed.node.id).toBe(good.peerId)
  })

  it('nor is a prompt too long because one says so', async () => {
    const { collect, provider } = await stage()
    const model = { contextLength: 513 }
    const script: Script = async (line) => line.say(frames.refuse('context_length_exceeded'))
    for (let n = 0; n < 3; n++) await provider({ script, model })
    const good = await provider()
    expect((await collect()).routed.node.id).toBe(good.peerId)
  })
})

describe('a prompt that is too long', () => {
  const tooLong: Script = async (line) => {
    const param = 'messages'
    line.say(frames.refuse('context_length_exceeded', { message: 'Shorten it.', param }))
  }
  const work = chat({}, 'word '.repeat(1_000))

  it('goes to a peer with a longer context', async () => {
    const { collect, provider } = await stage()
    const short = [await provider({ script: tooLong }), await provider({ script: tooLong })]
    const long = await provider({ model: { contextLength: 10_000 } })
    expect((await collect({ work })).routed.node.id).toBe(long.peerId)
    // Which is no fault of the others.
    for (const one of short) one.script = honest
    const { candidates } = (await collect({ wishes: { not: [long.peerId] } })).routed.route
    expect(candidates.flatMap(({ reasons }) => reasons)).not.toContain('failed lately')
  })

  it('is told so where there is none', async () => {
    const { collect, provider, faults } = await stage()
    const providers = [await provider({ script: tooLong }), await provider({ script: tooLong })]
    const expected = { code: 'context_length_exceeded', param: 'messages', message: 'Shorten it.' }
    await expect(collect({ work })).rejects.toMatchObject(expected)
    expect(providers.flatMap(({ lines }) => lines)).toHaveLength(2)
    expect(faults()).toEqual([])
  })

  it('cannot be one of a few words', async () => {
    const { collect, provider, faults } = await stage()
    const model = { contextLength: 4_096 }
    const liar = await provider({ script: tooLong, model })
    await expect(collect()).rejects.toMatchObject({ code: 'no_nodes_available' })
    expect(faults()).toMatchObject([{ peerId: liar.peerId, action: 'penalise' }])
    const good = await provider({ model })
    expect((await collect()).routed.node.id).toBe(good.peerId)
  })
})
