import { describe, expect, it } from 'vitest'
import type { FromProvider } from '../../src/wire/generate.ts'
import { settled } from '../base/fake-clock.ts'
import { frames, honest, type Script, stage, two } from './coordinator-stage.ts'

const says =
  (...said: (FromProvider | Uint8Array)[]): Script =>
  async (line) => {
    for (const each of said) {
      if (each instanceof Uint8Array) line.stream.write(each)
      else line.say(each)
    }
    while ((await line.hear()) !== undefined);
  }

const { accept, tokens, done, progress } = frames

describe('a provider that breaks the protocol before the first token', () => {
  const lies: [what: string, script: Script][] = [
    ['sends tokens before it accepts', says(tokens(0, ['a']))],
    ['shows progress before it accepts', says(progress())],
    ['asks for more than was agreed', says(dear())],
    ['accepts twice', says(accept(), accept())],
    ['sends scores that nobody asked for', says(accept(), scored())],
    ['refuses what it accepted', says(accept(), frames.refuse('overloaded'))],
    ['begins in the middle', says(accept(), tokens(3, ['a']))],
    ['begins a choice that there is not', says(accept(), tokens(0, ['a'], 1))],
    ['writes more than was asked for', says(accept(), tokens(0, Array(51).fill('a')))],
    ['sends a frame that is none', says(accept(), Uint8Array.of(0xff, 0xff))],
    ['sends vectors for a text', says(accept(), vectors())],
    ['sends drafts that nobody asked for', says(accept(), provisional())],
    ['sends a picture', says(accept(), media())],
    ['counts a prompt that is too long to be true', says(accept(4_000_000))],
    ['counts the prompt twice', says(accept(6), progress())],
    ['counts tokens that it did not send', says(accept(), done(7))],
    ['ends more choices than there are', says(accept(), done(0, { finish: ['stop', 'stop'] }))],
  ]

  it.each(lies)('%s: loses the job and is told on', async (_what, script) => {
    const { collect, faults, bad, good } = await two(script)
    const { routed, outcomes, text } = await collect()
    expect(text).toBe('Hello world')
    expect(outcomes).toEqual(['misbehaved', 'ok'])
    expect(routed.node.id).toBe(good.peerId)
    expect(faults()).toMatchObject([{ peerId: bad.peerId, action: 'penalise' }])
    // Its breaker is open: the next caller does not meet it.
    expect((await collect()).outcomes).toEqual(['ok'])
    expect(bad.lines.length).toBe(1)
  })

  function dear(): FromProvider {
    const frame = accept() as Extract<FromProvider, { type: 'accept' }>
    return { ...frame, price: { input: 0, output: 1 } }
  }
  function scored(): FromProvider {
    const frame = tokens(0, ['a']) as Extract<FromProvider, { type: 'tokens' }>
    return { ...frame, logprobs: [{ token: 'a', bytes: [97], logprob: -1, top: [] }] }
  }
  function vectors(): FromProvider {
    return { type: 'vectors', first: 0, length: 2, values: Float32Array.of(1, 0) }
  }
  function provisional(): FromProvider {
    return { type: 'provisional', choice: 0, first: 0, ids: [1], text: 'a', drafter: '' }
  }
  function media(): FromProvider {
    return { type: 'media', offset: 0, data: Uint8Array.of(1), mimeType: 'image/png' }
  }
})

describe('a provider that breaks the protocol later', () => {
  const lies: [what: string, script: Script][] = [
    ['leaves tokens out', says(accept(), tokens(0, ['a']), tokens(2, ['c']))],
    ['sends tokens twice', says(accept(), tokens(0, ['a', 'b']), tokens(1, ['b']))],
    ['counts fewer than it sent', says(accept(), tokens(0, ['a', 'b']), done(1))],
    ['sends no frame at all', says(accept(), tokens(0, ['a']), Uint8Array.of(0x22, 0x05))],
  ]
  it.each(lies)('%s: ends the answer and is told on', async (_what, script) => {
    const { collect, provider, faults } = await stage()
    const liar = await provider({ script })
    await expect(collect()).rejects.toMatchObject({ code: 'provider_failed' })
    expect(faults()).toMatchObject([{ peerId: liar.peerId, action: 'penalise' }])
  })

  it('sends more after its last frame: keeps its Ack, and is told on', async () => {
    const { collect, provider, faults } = await stage()
    const liar = await provider({
      script: says(accept(), tokens(0, ['a']), done(1), tokens(1, ['b'])),
    })
    expect((await collect()).text).toBe('a')
    await settled()
    expect(faults()).toMatchObject([{ peerId: liar.peerId, action: 'penalise' }])
    expect(liar.lines[0]?.heard[0]?.type).toBe('ack')
  })

  it('signs what is not so: is asked last from then on', async () => {
    const { collect, bad, good, faults } = await two(async (line) => {
      line.say(accept(), tokens(0, ['Hello']), tokens(1, [' world']))
      // Into what it signs, and to nobody.
      line.signed(tokens(2, ['!']))
      line.say(done(2))
      while ((await line.hear()) !== undefined);
    })
    expect((await collect()).text).toBe('Hello world')
    expect(faults()).toMatchObject([{ peerId: bad.peerId, action: 'penalise' }])
    expect((await collect()).routed.node.id).toBe(good.peerId)
    expect(bad.lines).toHaveLength(1)
  })

  it('does not end its part: is let go', async () => {
    const { collect, provider, faults, clock } = await stage()
    const { lines } = await provider({
      script: async (line) => {
        line.say(accept(), tokens(0, ['a']), done(1))
        await new Promise(() => {})
      },
    })
    await collect()
    await clock.advance(1_001)
    expect(lines[0]?.stream.ended.aborted).toBe(true)
    expect(faults()).toEqual([])
  })
})

describe('an honest provider', () => {
  it('is never told on', async () => {
    const { collect, provider, faults, coordinator } = await stage()
    await provider({ script: honest })
    for (let n = 0; n < 50; n++) await collect()
    await coordinator.stop()
    expect(faults()).toEqual([])
  })
})
