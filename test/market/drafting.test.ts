import { afterEach, describe, expect, it } from 'vitest'
import { identityFromSeed } from '../../src/identity/identity.ts'
import type { FromProvider } from '../../src/wire/generate.ts'
import type { Job } from '../../src/wire/job.ts'
import { settled } from '../base/fake-clock.ts'
import { erring, hashing, type Rule } from '../engines/fake-writer.ts'
import { chat, frames, jobOf, type Script, stage } from './coordinator-stage.ts'
import { drafted, drafter, guess, said, saying } from './drafting-stage.ts'

describe('a drafter elsewhere', () => {
  it('sees the prompt, hears what is said, and is told when that is all', async () => {
    const { find, drafter, guesses, clock } = await drafted(saying(guess(0, said(8))))
    const drafting = find({ id: 'job_a.3' })
    expect(drafting?.name).toBe(drafter.peerId)
    await settled()
    expect(guesses).toEqual([[0, said(8)]])
    drafting?.committed(0, 0, said(6))
    await settled()
    drafting?.committed(0, 6, [1, 2])
    await settled()
    drafting?.end()
    await settled()
    const [line] = drafter.lines
    expect(line?.job).toMatchObject({ jobId: 'job_a.d3', kind: 'draft', drafters: [] })
    expect(line?.work).toMatchObject({ kind: 'chat', messages: [{ content: 'hello' }] })
    const ids = line?.heard.flatMap((frame) => (frame.type === 'committed' ? frame.ids : []))
    expect(ids).toEqual([...said(6), 1, 2])
    expect(line?.heard.at(-1)).toEqual({ type: 'cancel', received: [6] })
    await clock.advance(3_000)
    expect(line?.stream.ended.aborted).toBe(true)
  })

  it('is asked when its guesses are wanted, where nobody watches', async () => {
    const { find, drafter } = await drafted(saying())
    const drafting = find({ watched: false })
    await settled()
    expect(drafter.lines).toHaveLength(0)
    drafting?.committed(0, 0, said(1))
    await settled()
    expect(drafter.lines).toHaveLength(1)
  })

  it('is nobody that nobody allows, and none outside of the jurisdiction', async () => {
    const { find, identity } = await drafted(saying(), { region: 'US' })
    expect(find({ drafters: [] })).toBeUndefined()
    expect(find({ drafters: [identity.peerId] })).toBeUndefined()
    expect(find({ wishes: { jurisdiction: 'EU' } })).toBeUndefined()
    expect(find({ wishes: { jurisdiction: 'US' } })).toBeDefined()
    expect(find({ work: chat({ choices: 2 }) })).toBeUndefined()
    expect(find({ work: { kind: 'embedding', inputs: ['a'] } })).toBeUndefined()
  })

  it.each([
    ['that asks for money', { price: { input: 0, output: 1 } }, false],
    ['with a model of another family', { draftsFor: undefined, family: 'other' }, false],
    ['with a larger model', { draftsFor: undefined, parameters: 2_000 }, false],
    ['with a smaller model of the family', { draftsFor: undefined }, true],
  ])('%s', async (_, model, isAsked) => {
    const { find } = await drafted(saying(), { model })
    expect(find() !== undefined).toBe(isAsked)
  })

  it('that was named for nothing is said to be, once', async () => {
    const { find, drafter, identity, passedOver } = await drafted(saying(), { region: 'US' })
    const unknown = identityFromSeed(new Uint8Array(32).fill(77)).peerId
    for (let n = 0; n < 3; n++) find({ drafters: [unknown, identity.peerId] })
    expect(passedOver).toEqual([{ peerId: unknown, why: expect.stringContaining('not known') }])
    find({ drafters: [unknown, drafter.peerId], wishes: { jurisdiction: 'EU' } })
    expect(passedOver.slice(1)).toEqual([
      { peerId: drafter.peerId, why: expect.stringContaining('jurisdiction') },
    ])
  })

  const hostile: [what: string, frames: FromProvider[]][] = [
    ['asks for more', [{ ...frames.accept(0), price: { input: 0, output: 1 } } as FromProvider]],
    ['guesses for another choice', [{ ...guess(0, [1]), choice: 1 } as FromProvider]],
    ['guesses far ahead', [guess(5_000, [1])]],
    ['guesses without end', Array.from({ length: 20 }, () => guess(0, said(100)))],
    ['says what nobody asked for', [{ type: 'commit', choice: 0, until: 1 }]],
  ]
  it.each(hostile)('that %s is left, and not asked again soon', async (_, all) => {
    const { find, lost, faults, clock } = await drafted(saying(...all))
    const drafting = find()
    await settled()
    expect(lost).toHaveLength(1)
    expect(faults()).toMatchObject([{ action: 'penalise' }])
    // Who is told too late does no harm.
    drafting?.committed(0, 0, [1])
    drafting?.end()
    expect(find()).toBeUndefined()
    await clock.advance(60_001)
    expect(find()).toBeDefined()
  })

  it.each<[what: string, script: Script, afterMs: number]>([
    ['refuses', async (line) => line.say(frames.refuse('unsupported')), 0],
    ['breaks off', async (line) => line.stream.reset(new Error('Gone.')), 0],
    ['ends its part', async () => {}, 0],
    ['says nothing', () => new Promise(() => {}), 3_000],
  ])('that %s is lost, and that is no fault', async (_, script, afterMs) => {
    const { find, lost, faults, clock } = await drafted(script)
    const began = clock.elapsed()
    find()
    await clock.advance(afterMs)
    expect(lost).toEqual([began + afterMs])
    expect(faults()).toEqual([])
    expect(find()).toBeUndefined()
  })

  it('that is busy is asked again when it says so', async () => {
    const { find, clock } = await drafted(async (line) =>
      line.say(frames.refuse('allowance', { retryAfterMs: 1_000 })),
    )
    find()
    await settled()
    expect(find()).toBeUndefined()
    await clock.advance(1_001)
    expect(find()).toBeDefined()
  })

  it('that guesses garbage is left after some tokens', async () => {
    const { find, lost } = await drafted(
      saying(
        guess(
          0,
          said(64).map((id) => id + 1),
        ),
      ),
    )
    const drafting = find()
    await settled()
    drafting?.committed(0, 0, said(63))
    expect(lost).toHaveLength(0)
    drafting?.committed(0, 63, said(64).slice(63))
    expect(lost).toHaveLength(1)
  })
})

describe('a peer that drafts', () => {
  const stops: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop()
  })

  async function both(rule: Rule, price = { input: 0, output: 0 }) {
    const all = await drafter({ rule, price })
    stops.push(all.stop)
    return all
  }
  const draft = { kind: 'draft', work: chat({ maxTokens: 200 }), jobId: 'job_a.d1' } as const

  it('guesses ahead, goes on where it was right, and begins anew where not', async () => {
    const { coordinator, writer, outcomes, clock } = await both(
      erring(hashing, (place) => place === 40),
    )
    const line = await coordinator.ask(draft)
    await clock.advance(10)
    const heard = () => {
      const ids: number[] = []
      for (const frame of line.all('tokens')) {
        ids.length = frame.first
        ids.push(...frame.ids)
      }
      return ids
    }
    expect(line.types().slice(0, 2)).toEqual(['accept', 'tokens'])
    expect(heard()).toEqual(said(32))
    line.send({ type: 'committed', choice: 0, first: 0, ids: said(20) })
    await clock.advance(10)
    expect(heard().slice(0, 40)).toEqual(said(40))
    expect(heard()[40]).not.toBe(said(41)[40])
    line.send({ type: 'committed', choice: 0, first: 20, ids: said(41).slice(20) })
    await clock.advance(10)
    expect(heard().slice(41)).toEqual(said(73).slice(41))
    await line.cancel(60)
    // More than came true is more than there was.
    expect(line.last('done')).toMatchObject({ finish: ['cancelled'], usage: { outputTokens: 40 } })
    expect(line.last('done').receipt).toBeUndefined()
    expect(outcomes).toEqual(['drafted'])
    expect(writer.running).toBe(0)
  })

  it('shows the prompt to nobody, and its guesses only to who hears them', async () => {
    const { coordinator, writer } = await both(hashing)
    await coordinator.ask({ ...draft, drafters: [coordinator.peerId], provisional: true })
    const [job] = writer.jobs
    expect(job).toBeDefined()
    expect(job).not.toHaveProperty('drafters')
    expect(job).not.toHaveProperty('watched')
  })

  it('has no more of it once its target is gone', async () => {
    const { coordinator, outcomes, clock, writer, provider } = await both(hashing)
    const line = await coordinator.ask(draft)
    await clock.advance(10)
    await line.reset()
    expect(outcomes).toEqual(['gone'])
    expect(writer.running).toBe(0)
    expect(provider.status().open).toBe(0)
  })

  it('does it for what it asks or not at all, and asks nothing for the prompt', async () => {
    const { coordinator } = await both(hashing, { input: 9, output: 2 })
    const tooLow = await coordinator.ask({ ...draft, maxPrice: { input: 9, output: 1 } })
    expect(tooLow.last('refuse').code).toBe('price_too_low')
    const enough = { ...draft, jobId: 'job_b.d1', maxPrice: { input: 0, output: 2 } }
    const line = await coordinator.ask(enough)
    expect(line.last('accept').price).toEqual({ input: 0, output: 2 })
  })

  it.each<[what: string, ask: object, code: string]>([
    ['several choices', { work: chat({ choices: 2 }) }, 'malformed'],
    ['vectors', { work: { kind: 'embedding', inputs: ['a'] } }, 'unsupported_field'],
  ])('does no %s', async (_, ask, code) => {
    const { coordinator } = await both(hashing)
    const line = await coordinator.ask({ ...draft, ...ask })
    expect(line.last('refuse').code).toBe(code)
  })

  it.each([
    ['of another choice', { choice: 1, first: 0, ids: [1] }],
    ['beyond the end', { choice: 0, first: 0, ids: said(201) }],
  ])('hears of no tokens %s', async (_, committed) => {
    const { coordinator, faults } = await both(hashing)
    const line = await coordinator.ask(draft)
    line.send({ type: 'committed', ...committed })
    await settled()
    expect(line.last('failed').code).toBe('malformed')
    expect(faults()).toHaveLength(1)
  })

  it('and one that writes find each other', async () => {
    const { clock, writer, provider, target } = await both(hashing)
    const { peerId, drafters } = await target()
    const guessed: number[] = []
    const job = jobOf({ drafters: [peerId], watched: true, work: chat({ maxTokens: 90 }) })
    const hear = (_: number, first: number, ids: readonly number[]) => {
      guessed.length = first
      guessed.push(...ids)
    }
    const drafting = drafters.find(job, hear, () => {})
    await clock.advance(10)
    expect(guessed).toEqual(said(32))
    for (let at = 0; at < 90; at += 9) {
      drafting?.committed(0, at, said(at + 9).slice(at))
      await clock.advance(10)
      expect(guessed.length).toBeGreaterThanOrEqual(Math.min(90, at + 9 + 16))
    }
    expect(guessed).toEqual(said(90))
    drafting?.end()
    await clock.advance(10)
    expect(provider.status().open).toBe(0)
    expect(writer.running).toBe(0)
  })
})

describe('who may draft', () => {
  const [named, owners, other] = [1, 2, 3].map(
    (seed) => identityFromSeed(new Uint8Array(32).fill(80 + seed)).peerId,
  ) as [string, string, string]

  const eight = Array.from(
    { length: 8 },
    (_, n) => identityFromSeed(new Uint8Array(32).fill(90 + n)).peerId,
  )

  it.each<[what: string, job: Partial<Job>, drafters: string[]]>([
    ['who the owner allows', {}, [owners]],
    ['who the request names, first', { drafters: [named] }, [named, owners]],
    ['each once', { drafters: [owners, named] }, [owners, named]],
    ['nobody who is to be avoided', { drafters: [named], wishes: { not: [named] } }, [owners]],
    ['eight at most', { drafters: eight }, eight],
  ])('of another peer’s answer is told to that: %s', async (_, job, drafters) => {
    const { provider, collect } = await stage({ drafters: [owners] })
    const { lines } = await provider()
    await collect(job)
    expect(lines[0]?.job.drafters).toEqual(drafters)
  })

  it('is nobody that is not one of those alone that the request wants', async () => {
    const { provider, collect } = await stage({ drafters: [owners] })
    const { lines, peerId } = await provider()
    await collect({ drafters: [other], wishes: { only: [peerId, named] } })
    expect(lines[0]?.job.drafters).toEqual([])
  })
})
